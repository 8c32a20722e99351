-- (2) Ready tasks wake the start loop of a sleeping replica: once per statement, and only if one sleeps.
create or replace function taskrunner_private.queued_task_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from new_rows n where n.state = 'ready') then
    perform taskrunner_private.notify_if_idle('start');
  end if;
  return null;
end $$;

create or replace trigger queued_task_900_notify_insert after insert on taskrunner_private.queued_task
referencing new table as new_rows
for each statement execute function taskrunner_private.queued_task_notify();
