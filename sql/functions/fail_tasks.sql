-- Fails tasks because required parents failed; the reason names the direct parent, of several the one inserted
-- first. p_failing are the tasks to fail, p_failed those that failed before them; the caller holds the locks.
-- Locks: none waited for. Called by: triggers/task_500_propagate.sql under cause propagate.
create or replace function taskrunner_private.fail_tasks(p_failing uuid[], p_failed uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  update taskrunner.task t
  set status = 'Failure', ended_at = now(), paused_from = null,
    failure_reason = 'Required parent task ' || reason.parent_id || ' failed'
  from (
    select distinct on (l.child_id) l.child_id, parent.id as parent_id
    from unnest(p_failed || p_failing) as parent (id)
    cross join lateral (
      select link.child_id, p.seq
      from taskrunner.link
      join taskrunner.task p on p.id = link.parent_id
      where link.parent_id = parent.id and link.requires_success
      offset 0) l
    order by l.child_id, l.seq
  ) reason
  where t.id = reason.child_id and taskrunner_private.is_waiting(t.status, t.paused_from);
end $$;
