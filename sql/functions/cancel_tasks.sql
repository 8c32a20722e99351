-- Cancels many tasks at once and returns those it canceled; ended and unknown ones are skipped (DELETE /task).
-- Locks: graph lock shared, rows of task by rank (lock_affected). SQLSTATEs: 40001, TR009.
create or replace function taskrunner.cancel_tasks(p_task_ids uuid[]) returns setof taskrunner.task
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_ids uuid[];
begin
  perform taskrunner_private.set_cause('');
  perform taskrunner_private.lock_affected(p_task_ids, p_task_ids, p_task_ids, true);
  -- Without a cause: the guard sets what a cancel sets, as for a direct UPDATE.
  with canceled as (
    update taskrunner.task t
    set status = 'Canceled'
    where t.id = any(p_task_ids) and not taskrunner_private.is_terminal(t.status)
    returning t.id
  )
  select array_agg(id) into v_ids from canceled;
  return query select t.* from taskrunner.task t where t.id = any(v_ids) order by t.seq;
end $$;
