-- Shape of a webhook. The condition lets the plain case pass without calling anything; it is evaluated as whoever runs
-- the statement, and believes a cause only when that is the owner of the schema. The function then finds the words.
-- SQLSTATEs: TR001 (protected column), TR006 (sizes), TR007.
create or replace function taskrunner_private.action_guard_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_error text := taskrunner_private.webhook_error(new.params);
begin
  if new.attempt is not null then
    raise exception 'action %: column attempt is set by the engine', new.id using errcode = 'TR001';
  elsif v_error is not null then
    raise exception 'task %: params: %', new.task_id, v_error
      using errcode = taskrunner_private.fault_code(v_error), detail = jsonb_build_array('params: ' || v_error)::text;
  end if;
  return new;
end $$;

create or replace trigger action_100_guard_insert before insert on taskrunner.action
for each row when (
  (coalesce(current_setting('taskrunner.cause', true), '') <> '' and has_schema_privilege('taskrunner', 'CREATE')
    or new.attempt is null
    and jsonb_typeof(new.params -> 'url') = 'string'
    and new.params ->> 'url' ~* '^https?://[a-z0-9._-]+(:[1-5]?[0-9]{1,4})?([/?#][^[:space:]\x01-\x20\x7f]*)?$'
    and octet_length(new.params ->> 'url') <= 8192 and octet_length(split_part(new.params ->> 'url', '/', 3)) <= 255
    and jsonb_typeof(new.params -> 'verb') = 'string'
    and new.params ->> 'verb' in ('Get', 'Post', 'Delete', 'Put', 'Patch')
    and not new.params ? 'headers'
    and octet_length(new.params::text) <= 2000               -- too short to be nested deeper than 1,000
  ) is not true)
execute function taskrunner_private.action_guard_insert();
