-- Fails tasks because required parents failed; the reason names the direct parent, of several the one inserted
-- first. p_failing are the tasks to fail, p_failed those that failed before them; the caller holds the locks.
-- Locks: none waited for. Called by: triggers/task_500_propagate.sql under cause propagate.
create or replace function taskrunner_private.fail_tasks(p_failing uuid[], p_failed uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_reasons record;
begin
  v_reasons := taskrunner_private.failure_reasons(p_failed || p_failing);
  update taskrunner.task t
  set status = 'Failure', ended_at = now(), paused_from = null,
    failure_reason = 'Required parent task ' || reason.parent_id || ' failed'
  from unnest(v_reasons.ids, v_reasons.parent_ids) as reason (child_id, parent_id)
  where t.id = reason.child_id and taskrunner_private.is_waiting(t.status, t.paused_from);
end $$;
