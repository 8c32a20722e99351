-- Rows in a queue of the chores wake those of a sleeping replica. What wake_limits itself notes can wait for the next pulse (cause
-- wake; these tables are private, so the cause is no client's).
-- Locks: none. Called by: triggers/wake_900_notify.sql, shape_request_900_notify.sql.
create or replace function taskrunner_private.chores_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(current_setting('taskrunner.cause', true), '') <> 'wake' and exists (select from new_rows) then
    perform taskrunner_private.notify_if_idle('chores');
  end if;
  return null;
end $$;
