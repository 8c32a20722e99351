-- Progress (PUT, add_progress), many at once; allowed in every state, ended ones included. One answer per item.
-- p_items: [{"task_id", "attempt"?, "new_success"?, "new_failures"?}], a task at most once.
-- outcome: done, unknown, stale (older attempt), ahead (newer one), overflow.
-- Locks: graph lock shared, rows of task by rank. Writes task (success, failures, last_updated).
create or replace function taskrunner_private.progress_tasks(p_items jsonb)
returns table (task_id uuid, outcome text, current_status taskrunner.status_kind)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
begin
  perform taskrunner_private.lock_graph_shared(true);
  perform taskrunner_private.lock_tasks(
    array(select (item ->> 'task_id')::uuid from jsonb_array_elements(p_items) item), true);

  return query
  select i.task_id, case
      when t.id is null then 'unknown'
      when i.attempt < t.attempt then 'stale'
      when i.attempt > t.attempt then 'ahead'
      when coalesce(i.new_success, 0) > 9223372036854775807 - t.success
        or coalesce(i.new_failures, 0) > 9223372036854775807 - t.failures then 'overflow'
      else 'done' end,
    t.status
  from jsonb_to_recordset(p_items) as i (task_id uuid, attempt integer, new_success bigint, new_failures bigint)
  left join lateral (select * from taskrunner.task x where x.id = i.task_id offset 0) t on true;

  perform taskrunner_private.set_cause('progress');
  update taskrunner.task t
  set success = t.success + coalesce(i.new_success, 0),
    failures = t.failures + coalesce(i.new_failures, 0),
    last_updated = now()
  from jsonb_to_recordset(p_items) as i (task_id uuid, attempt integer, new_success bigint, new_failures bigint)
  where t.id = i.task_id and t.attempt = coalesce(i.attempt, t.attempt)
    and coalesce(i.new_success, 0) <= 9223372036854775807 - t.success
    and coalesce(i.new_failures, 0) <= 9223372036854775807 - t.failures;
  perform taskrunner_private.set_cause('');
end $$;
