-- The next attempt of tasks whose attempt has failed while more are left (contract 5.3 row 14, 6.6): back to Pending, not before
-- a random moment. p_reasons says of each why. A report makes the same change in its own UPDATE, with what else it brings.
-- Locks: none; the caller holds those of the tasks. Called by: sweep_active, settle_failed_starts under their causes.
-- Writes task (status, failure_reason, attempt, run_at, success, failures, started_at, contacted, last_updated,
-- timed_out_attempts).
create or replace function taskrunner_private.retry_tasks(p_ids uuid[], p_reasons text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_timed_out boolean := current_setting('taskrunner.cause', true) = 'timeout';
begin
  update taskrunner.task t
  set status = 'Pending', failure_reason = failed.reason, attempt = t.attempt + 1, success = 0, failures = 0,
    started_at = null, contacted = false, last_updated = now(),
    run_at = now() + taskrunner_private.retry_delay(
      t.attempt, t.retry_initial_delay_secs, t.retry_multiplier, t.retry_max_delay_secs),
    timed_out_attempts = case when v_timed_out then t.timed_out_attempts || t.attempt else t.timed_out_attempts end
  from unnest(p_ids, p_reasons) as failed (id, reason)
  where t.id = any(p_ids) and t.id = failed.id;              -- the array: as in start_tasks.sql
end $$;
