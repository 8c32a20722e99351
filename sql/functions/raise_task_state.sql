-- The error of a function that found its task in the wrong state, or not at all.
-- Locks: none. SQLSTATEs: TR001 (DETAIL is the status), TR002.
create or replace function taskrunner_private.raise_task_state(p_task_id uuid, p_what text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_status taskrunner.status_kind;
begin
  select t.status into v_status from taskrunner.task t where t.id = p_task_id;
  if v_status is null then
    raise exception 'task %: unknown task', coalesce(p_task_id::text, 'null') using errcode = 'TR002';
  end if;
  raise exception 'task %: is %, it %', p_task_id, v_status, p_what
    using errcode = 'TR001', detail = v_status::text;
end $$;
