-- What a client may put into a new task. The trigger's condition lets valid rows pass without calling anything;
-- the function only finds the words for the others. SECURITY INVOKER, pg_catalog only.
-- SQLSTATEs: TR001 (protected column), TR004 (rules are no array; the rest: task_150_rules_insert.sql), TR006 (limit or
-- size), TR007 (invalid field).
create or replace function taskrunner_private.task_guard_insert() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_field text;
begin
  if new.status not in ('Pending', 'Waiting') then
    raise exception 'task %: a new task cannot be %', new.id, new.status
      using errcode = 'TR001', detail = new.status::text;
  end if;
  v_field := case
    when new.created_at is distinct from now() then 'created_at'
    when new.last_updated is distinct from now() then 'last_updated'
    when new.started_at is not null then 'started_at'
    when new.ended_at is not null then 'ended_at'
    when new.success is distinct from 0 then 'success'
    when new.failures is distinct from 0 then 'failures'
    when new.wait_finished is distinct from 0 then 'wait_finished'
    when new.wait_success is distinct from 0 then 'wait_success'
    when new.attempt is distinct from 1 then 'attempt'
    when new.paused_from is not null then 'paused_from'
    when new.failure_reason is not null then 'failure_reason'
    when new.contacted is distinct from false then 'contacted'
    when new.timed_out_attempts is not null then 'timed_out_attempts' end;
  if v_field is not null then
    raise exception 'task %: column % is set by the engine', new.id, v_field using errcode = 'TR001';
  end if;

  v_field := case
    when new.name is null or new.name !~ '[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
      then 'name: must not be blank'
    when new.kind is null or new.kind !~ '[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
      then 'kind: must not be blank' end;
  if v_field is not null then
    raise exception 'task %: %', new.id, v_field
      using errcode = 'TR007', detail = jsonb_build_array(v_field)::text;
  end if;
  if jsonb_typeof(new.rules) is distinct from 'array' then
    raise exception 'task %: rules: must be an array', new.id
      using errcode = 'TR004', detail = jsonb_build_array('rules: must be an array')::text;
  end if;

  v_field := case
    when char_length(new.name) > 255 then 'name: must be at most 255 characters'
    when char_length(new.kind) > 100 then 'kind: must be at most 100 characters'
    when new.timeout is null or new.timeout not between 1 and 86400 then 'timeout: must be between 1 and 86400'
    when new.priority is null or new.priority not between -1000 and 1000
      then 'priority: must be between -1000 and 1000'
    when new.expected_count < 0 then 'expected_count: must be at least 0'
    when octet_length(new.metadata::text) > 131072 then 'metadata: must be at most 131072 bytes'
    when jsonb_path_exists(new.metadata, '$.**{1001}') then 'metadata: must not be nested deeper than 1000'
    when not coalesce(new.max_attempts between 1 and 100, false) then 'max_attempts: must be between 1 and 100'
    when not coalesce(new.retry_initial_delay_secs between 0 and 86400, false)
      then 'retry_initial_delay_secs: must be between 0 and 86400'
    when not coalesce(new.retry_multiplier between 1 and 100, false)
      then 'retry_multiplier: must be between 1 and 100'
    when not coalesce(new.retry_max_delay_secs between new.retry_initial_delay_secs and 86400, false)
      then 'retry_max_delay_secs: must be between retry_initial_delay_secs and 86400' end;
  if v_field is not null then
    raise exception 'task %: %', new.id, v_field
      using errcode = 'TR006', detail = jsonb_build_array(v_field)::text;
  end if;
  new.status := 'Pending';
  return new;
end $$;

create or replace trigger task_100_guard_insert before insert on taskrunner.task
for each row when ((
  coalesce(current_setting('taskrunner.cause', true), '') <> '' and has_schema_privilege('taskrunner', 'CREATE')
  or new.status = 'Pending'
  and new.created_at = now() and new.last_updated = now()
  and new.started_at is null and new.ended_at is null and new.paused_from is null and new.failure_reason is null
  and new.timed_out_attempts is null and new.success = 0 and new.failures = 0 and new.wait_finished = 0 and new.wait_success = 0
  and new.attempt = 1 and new.max_attempts between 1 and 100 and not new.contacted and jsonb_typeof(new.rules) = 'array'
  and new.name ~ '[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
  and new.kind ~ '[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
  and char_length(new.name) <= 255 and char_length(new.kind) <= 100
  and new.timeout between 1 and 86400 and new.priority between -1000 and 1000
  and coalesce(new.expected_count, 0) >= 0
  and (octet_length(new.metadata::text) <= 2000              -- too short to be nested deeper than 1,000
    or octet_length(new.metadata::text) <= 131072 and not jsonb_path_exists(new.metadata, '$.**{1001}'))
  and new.retry_initial_delay_secs between 0 and 86400 and new.retry_multiplier between 1 and 100
  and new.retry_max_delay_secs between new.retry_initial_delay_secs and 86400
) is not true)
execute function taskrunner_private.task_guard_insert();
