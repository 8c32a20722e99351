-- Queued tasks whose state, run_at or rules have changed, or what their rules look at: they are decided again. A probe that is given up
-- so wakes its limit.
-- p_held: those that had rules. Their rows are locked first and looked at later, because a parked task may be becoming a probe.
-- Locks: rows of queued_task. Writes queued_task, wake. Called by: task_600_queue_update.
create or replace function taskrunner_private.requeue(p_ids uuid[], p_held uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_probed bigint[];
begin
  if p_held is not null then
    perform from taskrunner_private.queued_task q where q.task_id = any(p_held) for update;
    v_probed := array(
      select q.limit_id from taskrunner_private.queued_task q where q.task_id = any(p_held) and q.limit_id is not null);
    if v_probed <> '{}' then
      perform taskrunner_private.wake_later(v_probed);
    end if;
  end if;
  update taskrunner_private.queued_task q
  set state = taskrunner_private.queue_state(t.status, t.run_at), priority = t.priority, run_at = t.run_at,
    has_rules = t.rules <> '[]', gate_id = null, limit_id = null, put_off = 0
  from taskrunner.task t
  where t.id = any(p_ids) and q.task_id = t.id;
end $$;
