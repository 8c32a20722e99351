-- Owed webhooks wake the delivery loop of a sleeping replica.
create or replace function taskrunner_private.due_delivery_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from new_rows) then
    perform taskrunner_private.notify_if_idle('deliver');
  end if;
  return null;
end $$;

create or replace trigger due_delivery_900_notify after insert on taskrunner_private.due_delivery
referencing new table as new_rows
for each statement execute function taskrunner_private.due_delivery_notify();
