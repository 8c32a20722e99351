-- Rows in a queue of the chores wake those of a sleeping replica.
-- Locks: none. Called by: triggers/shape_request_900_notify.sql.
create or replace function taskrunner_private.chores_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from new_rows) then
    perform taskrunner_private.notify_if_idle('chores');
  end if;
  return null;
end $$;
