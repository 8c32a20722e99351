-- Those of p_ids that retention may remove. They ended before p_before; none of their deliveries waits for a try or is being sent;
-- and nothing that they are linked with is alive, so that the graph around a living task stays whole: why, GET /dag and dead ends look
-- at parents and children that have ended. Deliveries that were given up do not keep a task.
-- Which tasks live is asked of queued_task and active_task, which are small; children from the youngest, because the oldest end first
-- as a rule, and one that lives is enough.
-- Locks: none; under the locks of remove_tasks what it says stays true. Called by: remove_tasks, before and after it locks.
create or replace function taskrunner_private.removable_tasks(p_ids uuid[], p_before timestamptz) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return array(
    select e.task_id
    from unnest(p_ids) as given (id)
    cross join lateral (
      select x.task_id from taskrunner_private.ended_task x where x.task_id = given.id and x.ended_at < p_before offset 0) e
    where (
        select d.id from taskrunner_private.delivery d
        where d.task_id = e.task_id and d.status = 'Pending'
        limit 1) is null
      and (
        select l.child_id from taskrunner.link l
        where l.parent_id = e.task_id and (
          (select q.task_id from taskrunner_private.queued_task q where q.task_id = l.child_id) is not null
          or (select a.task_id from taskrunner_private.active_task a where a.task_id = l.child_id) is not null)
        order by l.child_id desc
        limit 1) is null
      and (
        select l.parent_id from taskrunner.link l
        where l.child_id = e.task_id and (
          (select q.task_id from taskrunner_private.queued_task q where q.task_id = l.parent_id) is not null
          or (select a.task_id from taskrunner_private.active_task a where a.task_id = l.parent_id) is not null)
        limit 1) is null);
end $$;
