-- Stores the settings that triggers need and returns those that stood there before: the last start of a service wins,
-- and it logs what it changed. Locks: the one row of server_setting.
create or replace function taskrunner_private.save_settings(
  p_dead_end_cancel boolean, p_webhook_max_attempts integer, p_start_max_attempts integer
) returns setof taskrunner_private.server_setting
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query select * from taskrunner_private.server_setting for update;
  update taskrunner_private.server_setting s
  set dead_end_cancel = p_dead_end_cancel, webhook_max_attempts = p_webhook_max_attempts,
    start_max_attempts = p_start_max_attempts
  where (s.dead_end_cancel, s.webhook_max_attempts, s.start_max_attempts)
    is distinct from (p_dead_end_cancel, p_webhook_max_attempts, p_start_max_attempts);
end $$;
