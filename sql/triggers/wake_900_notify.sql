-- Limits that may have room wake a replica that waits for such. What wake_limits itself notes it looks at again soon (cause wake; the
-- table is private, so the cause is no client's).
create or replace function taskrunner_private.wake_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(current_setting('taskrunner.cause', true), '') <> 'wake' and exists (select from new_rows) then
    perform taskrunner_private.notify_if_idle('wake');
  end if;
  return null;
end $$;

create or replace trigger wake_900_notify after insert on taskrunner_private.wake
referencing new table as new_rows
for each statement execute function taskrunner_private.wake_notify();
