-- The next ready tasks with rules in order, their task rows locked.
-- Locks: rows of task, for no key update skip locked. Called by: claim_tasks.
create or replace function taskrunner_private.ruled_candidates(p_limit integer) returns uuid[]
language sql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off as $$
  select array(
    select t.id
    from taskrunner_private.queued_task q
    join taskrunner.task t on t.id = q.task_id
    where q.state = 'ready' and q.has_rules and t.status = 'Pending'
    order by q.priority desc, q.seq
    limit p_limit
    for no key update of t skip locked);
$$;
