-- Progress (PUT), many at once; allowed in every state, ended ones included. A task at most once.
-- p_attempts: 0 stands for whichever it is in.
-- Returns how many were written, and of all others their ids, statuses ('' if there is none) and why: unknown, stale (of an older
-- attempt), ahead (of one that has not begun), overflow, busy (somebody else holds or held the task in this moment; progress_task
-- waits for it). Nearly always all are written: an answer for each would cost as much as a third of the writing.
-- It waits for nobody, so that a task that is held keeps no other from being written, and needs no order of locks and no graph
-- lock. Each statement locks and looks at once: a locked row is seen as it is, and no other matters.
-- Locks: rows of task, skip locked. Writes task (success, failures, last_updated). Called by: the service, add_progress.
create or replace function taskrunner_private.progress_tasks(
  p_task_ids uuid[], p_attempts integer[], p_new_success bigint[], p_new_failures bigint[],
  out written integer, out task_ids uuid[], out outcomes text[], out current_statuses text[]
)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_cause text := set_config('taskrunner.cause', 'progress', true); -- as in progress_task
  v_written uuid[];
begin
  with held as materialized (
    select t.id, i.new_success, i.new_failures
    from unnest(p_task_ids, p_attempts, p_new_success, p_new_failures) as i (task_id, attempt, new_success, new_failures)
    join taskrunner.task t on t.id = i.task_id
    where i.attempt in (0, t.attempt)
      and i.new_success <= 9223372036854775807 - t.success and i.new_failures <= 9223372036854775807 - t.failures
    for no key update of t skip locked
  ), done as (
    update taskrunner.task t
    set success = t.success + h.new_success,
      failures = t.failures + h.new_failures,
      last_updated = now()
    from held h
    where t.id = h.id
    returning t.id
  )
  select array_agg(d.id) into v_written from done d;
  v_cause := set_config('taskrunner.cause', '', true);
  written := coalesce(cardinality(v_written), 0);
  if written = cardinality(p_task_ids) then
    return;
  end if;

  with rest as materialized (
    select i.*
    from unnest(p_task_ids, p_attempts, p_new_success, p_new_failures) as i (task_id, attempt, new_success, new_failures)
    where i.task_id <> all(coalesce(v_written, '{}'))
  ), held as materialized (
    select t.id, case
        when r.attempt > t.attempt then 'ahead'
        when r.attempt < t.attempt and r.attempt <> 0 then 'stale'
        when r.new_success > 9223372036854775807 - t.success or r.new_failures > 9223372036854775807 - t.failures then 'overflow'
        end as outcome
    from rest r
    join taskrunner.task t on t.id = r.task_id
    for no key update of t skip locked
  )
  select array_agg(r.task_id), array_agg(case when t.id is null then 'unknown' else coalesce(h.outcome, 'busy') end),
    array_agg(coalesce(t.status::text, ''))
  into task_ids, outcomes, current_statuses
  from rest r
  left join held h on h.id = r.task_id
  left join lateral (select x.id, x.status from taskrunner.task x where x.id = r.task_id offset 0) t on true;
end $$;
