-- (2) Ready tasks wake the start loop of a sleeping replica, and a task scheduled for a moment before the next pulse of any
-- replica wakes one that finds that out: once per statement, and only if somebody sleeps. A pulse that is overdue does not
-- count: its replica may be gone. Of what wake_limits makes ready it tells itself (cause wake; the table is private, so the cause is
-- no client's).
create or replace function taskrunner_private.queued_task_notify() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_ready boolean;
  v_run_at timestamptz;
begin
  select bool_or(n.state = 'ready'), min(n.run_at) filter (where n.state = 'scheduled') into v_ready, v_run_at
  from new_rows n;
  if v_ready and coalesce(current_setting('taskrunner.cause', true), '') <> 'wake' then
    perform taskrunner_private.notify_if_idle('start');
  end if;
  if v_run_at < (
    select min(r.next_pulse_at) from taskrunner_private.replica r
    where r.next_pulse_at > clock_timestamp() - interval '50 milliseconds')
  then
    perform pg_notify('taskrunner', 'chores');
  end if;
  return null;
end $$;

create or replace trigger queued_task_900_notify_insert after insert on taskrunner_private.queued_task
referencing new table as new_rows
for each statement execute function taskrunner_private.queued_task_notify();
