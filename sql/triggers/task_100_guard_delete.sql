-- Only ended tasks can be deleted. SQLSTATE: TR001.
create or replace function taskrunner_private.task_guard_delete() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'task %: is %, only ended tasks can be deleted', old.id, old.status
    using errcode = 'TR001', detail = old.status::text;
end $$;

create or replace trigger task_100_guard_delete before delete on taskrunner.task
for each row when (old.status not in ('Success', 'Failure', 'Canceled'))
execute function taskrunner_private.task_guard_delete();
