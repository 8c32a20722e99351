-- Dead ends to examine wake the chores of a sleeping replica. What drain_dead_ends writes itself it goes on with, and a task
-- that somebody holds can wait for the next pulse (cause dead_end; the table is private, so the cause is no client's).
create or replace function taskrunner_private.dead_end_check_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(current_setting('taskrunner.cause', true), '') <> 'dead_end' and exists (select from new_rows) then
    perform taskrunner_private.notify_if_idle('chores');
  end if;
  return null;
end $$;

create or replace trigger dead_end_check_900_notify after insert on taskrunner_private.dead_end_check
referencing new table as new_rows
for each statement execute function taskrunner_private.dead_end_check_notify();
