-- Progress of one task that is as the reporter thinks: of the given attempt (null: whichever), and with room in its counters. Returns
-- its status; null: nothing was written, and progress_tasks says why.
-- The most frequent call of all, and each thing in it is felt, settings of the function included. It is a single statement: who
-- holds nothing yet and waits for one row needs no order, and no graph lock.
-- Locks: the task. Writes task (success, failures, last_updated). Called by: the service, add_progress.
create or replace function taskrunner_private.progress_task(
  p_task_id uuid, p_attempt integer, p_new_success bigint, p_new_failures bigint
) returns taskrunner.status_kind
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  -- As set_cause does it, without its cost. As a setting of the function only a superuser could create it.
  v_cause text := set_config('taskrunner.cause', 'progress', true);
  v_status taskrunner.status_kind;
begin
  update taskrunner.task t
  set success = t.success + p_new_success,
    failures = t.failures + p_new_failures,
    last_updated = now()
  where t.id = p_task_id and t.attempt = coalesce(p_attempt, t.attempt)
    and p_new_success <= 9223372036854775807 - t.success and p_new_failures <= 9223372036854775807 - t.failures
  returning t.status into v_status;
  v_cause := set_config('taskrunner.cause', '', true);
  return v_status;
end $$;
