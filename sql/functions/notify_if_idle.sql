-- Wakes sleeping replicas: one notification on channel taskrunner, its payload the loop that has work ('start',
-- 'deliver', 'wake' or 'chores'), and only if such a loop of a living replica sleeps now. A writer whose snapshot is older than
-- the stamp notifies nobody; the loop knows that (fall_asleep.sql). Equal payloads of a transaction collapse into one.
-- Locks: at commit, the server's notification lock. Called by triggers/*_900_notify.sql.
create or replace function taskrunner_private.notify_if_idle(p_loop text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if exists (
    select from taskrunner_private.replica r
    where r.heartbeat_at > clock_timestamp() - interval '3 seconds'
      and case p_loop when 'start' then r.idle_start_at
                      when 'deliver' then r.idle_deliver_at
                      when 'wake' then r.idle_wake_at
                      else r.idle_chores_at end is not null
  ) then
    perform pg_notify('taskrunner', p_loop);
  end if;
end $$;
