-- What a client may change on a task, and what follows of it in the same row: the legal transitions (contract 5.3,
-- rows 6, 7, 10, 11, 16, 19, 20), their timestamps and reasons. A direct UPDATE and the functions that act for a
-- person (cancel, pause, resume) come through here. Statements with a cause of their own set every column themselves
-- and are not looked at again (the named CHECKs of the table remain).
-- SECURITY INVOKER on purpose: the condition believes a cause only when current_user owns the schema. pg_catalog only.
-- SQLSTATEs: TR001 (transition, protected column), TR004 (rules are no array; the rest:
-- task_150_rules_update.sql), TR006 (limit), TR008 (start before run_at).
create or replace function taskrunner_private.task_guard_update() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_target taskrunner.status_kind;
  v_field text;
begin
  if (new.id, new.seq, new.rank, new.batch_id, new.name, new.kind, new.created_at, new.started_at, new.ended_at,
      new.attempt, new.max_attempts, new.retry_initial_delay_secs, new.retry_multiplier, new.retry_max_delay_secs,
      new.wait_finished, new.wait_success, new.paused_from, new.contacted, new.dead_end_barrier,
      new.timed_out_attempts)
    is distinct from
     (old.id, old.seq, old.rank, old.batch_id, old.name, old.kind, old.created_at, old.started_at, old.ended_at,
      old.attempt, old.max_attempts, old.retry_initial_delay_secs, old.retry_multiplier, old.retry_max_delay_secs,
      old.wait_finished, old.wait_success, old.paused_from, old.contacted, old.dead_end_barrier,
      old.timed_out_attempts)
  then
    select string_agg(n.key, ', ' order by n.key) into v_field
    from jsonb_each(to_jsonb(new)) n
    join jsonb_each(to_jsonb(old)) o using (key)
    where n.value <> o.value and n.key not in ('status', 'failure_reason', 'last_updated', 'run_at', 'success',
      'failures', 'metadata', 'rules', 'expected_count', 'priority', 'timeout');
    raise exception 'task %: column % is set by the engine', old.id, v_field
      using errcode = 'TR001', detail = old.status::text;
  end if;
  if old.status in ('Success', 'Failure', 'Canceled') and new.status = old.status
    and (new.failure_reason, new.metadata, new.rules, new.expected_count, new.priority, new.timeout, new.run_at)
      is distinct from
        (old.failure_reason, old.metadata, old.rules, old.expected_count, old.priority, old.timeout, old.run_at)
  then
    raise exception 'task %: has ended (%), only its counters can grow', old.id, old.status
      using errcode = 'TR001', detail = old.status::text;
  end if;
  if new.success < old.success or new.failures < old.failures then
    raise exception 'task %: counters only grow', old.id using errcode = 'TR001', detail = old.status::text;
  end if;

  v_field := case
    when new.timeout is null or new.timeout not between 1 and 86400 then 'timeout: must be between 1 and 86400'
    when new.priority is null or new.priority not between -1000 and 1000
      then 'priority: must be between -1000 and 1000'
    when new.expected_count < 0 then 'expected_count: must be at least 0'
    when new.metadata is distinct from old.metadata and octet_length(new.metadata::text) > 131072
      then 'metadata: must be at most 131072 bytes'
    when new.metadata is distinct from old.metadata and jsonb_path_exists(new.metadata, '$.**{1001}')
      then 'metadata: must not be nested deeper than 1000' end;
  if v_field is not null then
    raise exception 'task %: %', old.id, v_field
      using errcode = 'TR006', detail = jsonb_build_array(v_field)::text;
  end if;
  if jsonb_typeof(new.rules) is distinct from 'array' then
    raise exception 'task %: rules: must be an array', old.id
      using errcode = 'TR004', detail = jsonb_build_array('rules: must be an array')::text;
  end if;

  -- A change of what a task reports about itself is a sign of life, unless the statement sets the time itself.
  if new.last_updated = old.last_updated
    and (new.success, new.failures, new.metadata, new.expected_count, new.priority)
      is distinct from (old.success, old.failures, old.metadata, old.expected_count, old.priority)
  then
    new.last_updated := now();
  end if;

  if new.status = old.status then
    if new.failure_reason is distinct from old.failure_reason then
      raise exception 'task %: failure_reason changes only together with status', old.id
        using errcode = 'TR001', detail = old.status::text;
    end if;
    return new;
  end if;

  case
    when new.status = 'Claimed' and old.status = 'Pending' then
      if new.run_at > clock_timestamp() then
        raise exception 'task %: is not to start before %', old.id, new.run_at
          using errcode = 'TR008', detail = old.status::text;
      end if;
      new.contacted := true;
      new.last_updated := now();
      new.failure_reason := old.failure_reason;

    when new.status = 'Running' and old.status = 'Claimed' then
      new.started_at := now();
      new.last_updated := now();
      new.failure_reason := old.failure_reason;

    when new.status in ('Success', 'Failure')
      and (old.status in ('Claimed', 'Running')
        or (old.status in ('Pending', 'Paused') and old.contacted)) then
      new.ended_at := greatest(now(), old.started_at);
      new.last_updated := now();
      new.paused_from := null;
      if new.failure_reason is not distinct from old.failure_reason then
        new.failure_reason := case when new.status = 'Failure' then 'Set to Failure by ' || session_user end;
      end if;

    when new.status = 'Canceled' and old.status not in ('Success', 'Failure') then
      new.ended_at := greatest(now(), old.started_at);
      new.last_updated := now();
      new.paused_from := null;
      if new.failure_reason is not distinct from old.failure_reason then
        new.failure_reason := 'Canceled';
      end if;

    when new.status = 'Paused' and old.status in ('Waiting', 'Pending', 'Claimed', 'Running') then
      new.paused_from := old.status;
      new.failure_reason := old.failure_reason;

    when old.status = 'Paused' then
      v_target := case
        when old.paused_from in ('Claimed', 'Running') then old.paused_from
        when old.wait_finished > 0 then 'Waiting' else 'Pending' end;
      if new.status <> v_target then
        raise exception 'task %: illegal transition % -> %', old.id, old.status, new.status
          using errcode = 'TR001', detail = old.status::text;
      end if;
      new.paused_from := null;
      new.failure_reason := old.failure_reason;
      if v_target in ('Claimed', 'Running') then
        new.last_updated := now();
      end if;

    else
      raise exception 'task %: illegal transition % -> %', old.id, old.status, new.status
        using errcode = 'TR001', detail = old.status::text;
  end case;
  return new;
end $$;

create or replace trigger task_100_guard_update before update on taskrunner.task
for each row when (
  (current_setting('taskrunner.cause', true) <> '') is not true or not has_schema_privilege('taskrunner', 'CREATE')
)
execute function taskrunner_private.task_guard_update();
