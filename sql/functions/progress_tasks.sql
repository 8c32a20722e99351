-- Progress (PUT), many at once; allowed in every state, ended ones included. One answer per item, a task at most once.
-- p_attempts: null stands for whichever it is in.
-- outcome: done, unknown, stale (of an older attempt), ahead (of one that has not begun), overflow, busy (somebody else holds the
-- task in this moment; progress_task waits for it). Only done is written.
-- It waits for nobody, so that a task that is held keeps no other from being written, and needs no order of locks and no graph
-- lock. A single statement locks and looks: a locked row is seen as it is, and no other matters.
-- Locks: rows of task, skip locked. Writes task (success, failures, last_updated). Called by: the service, add_progress.
create or replace function taskrunner_private.progress_tasks(
  p_task_ids uuid[], p_attempts integer[], p_new_success bigint[], p_new_failures bigint[]
) returns table (task_id uuid, outcome text, current_status taskrunner.status_kind)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set taskrunner.cause = 'progress'
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_held uuid[];
  v_outcomes text[];
  v_statuses taskrunner.status_kind[];
begin
  with held as materialized (
    select t.id, t.status, i.new_success, i.new_failures, case
        when i.attempt > t.attempt then 'ahead'
        when i.attempt < t.attempt then 'stale'
        when i.new_success > 9223372036854775807 - t.success or i.new_failures > 9223372036854775807 - t.failures then 'overflow'
        else 'done' end as outcome
    from unnest(p_task_ids, p_attempts, p_new_success, p_new_failures) as i (task_id, attempt, new_success, new_failures)
    join taskrunner.task t on t.id = i.task_id
    for no key update of t skip locked
  ), written as (
    update taskrunner.task t
    set success = t.success + h.new_success,
      failures = t.failures + h.new_failures,
      last_updated = now()
    from held h
    where t.id = h.id and h.outcome = 'done'
  )
  select array_agg(h.id), array_agg(h.outcome), array_agg(h.status) into v_held, v_outcomes, v_statuses from held h;

  return query select h.* from unnest(v_held, v_outcomes, v_statuses) as h (task_id, outcome, current_status);
  if cardinality(v_held) = cardinality(p_task_ids) then
    return;
  end if;
  return query
  select i.task_id, case when t.id is null then 'unknown' else 'busy' end, t.status
  from unnest(p_task_ids) as i (task_id)
  left join lateral (select x.id, x.status from taskrunner.task x where x.id = i.task_id offset 0) t on true
  where i.task_id <> all(coalesce(v_held, '{}'));
end $$;
