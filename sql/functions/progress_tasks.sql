-- Progress (PUT, add_progress), many at once; allowed in every state, ended ones included. One answer per item.
-- p_items: [{"task_id", "attempt"?, "new_success"?, "new_failures"?}], a task at most once.
-- outcome: done, unknown, stale (older attempt), ahead (newer one), overflow.
-- It reads p_items once, and calls functions by assignment, which costs a fraction of what PERFORM does. A task that comes alone is
-- written by progress_task, if that finds it as it should be; only if it does not is there something to look at under locks.
-- Locks: graph lock shared, rows of task by rank; of one task its row only. Writes task (success, failures, last_updated).
create or replace function taskrunner_private.progress_tasks(p_items jsonb)
returns table (task_id uuid, outcome text, current_status taskrunner.status_kind)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_attempts integer[];
  v_success bigint[];
  v_failures bigint[];
  v_locked boolean;
  v_cause text;
  v_id uuid;
  v_status taskrunner.status_kind;
begin
  if jsonb_array_length(p_items) = 1 then
    v_id := p_items->0->>'task_id';
    v_status := taskrunner_private.progress_task(v_id, (p_items->0->>'attempt')::integer,
      coalesce((p_items->0->>'new_success')::bigint, 0), coalesce((p_items->0->>'new_failures')::bigint, 0));
    if v_status is not null then
      return query values (v_id, 'done', v_status);
      return;
    end if;
  end if;

  select array_agg(i.task_id), array_agg(i.attempt), array_agg(coalesce(i.new_success, 0)), array_agg(coalesce(i.new_failures, 0))
  into v_ids, v_attempts, v_success, v_failures
  from jsonb_to_recordset(p_items) as i (task_id uuid, attempt integer, new_success bigint, new_failures bigint);
  v_locked := taskrunner_private.lock_graph_shared(true);
  v_locked := taskrunner_private.lock_tasks(v_ids, true);

  return query
  select i.task_id, case
      when t.id is null then 'unknown'
      when i.attempt < t.attempt then 'stale'
      when i.attempt > t.attempt then 'ahead'
      when i.new_success > 9223372036854775807 - t.success or i.new_failures > 9223372036854775807 - t.failures then 'overflow'
      else 'done' end,
    t.status
  from unnest(v_ids, v_attempts, v_success, v_failures) as i (task_id, attempt, new_success, new_failures)
  left join lateral (select * from taskrunner.task x where x.id = i.task_id offset 0) t on true;

  v_cause := set_config('taskrunner.cause', 'progress', true);
  update taskrunner.task t
  set success = t.success + i.new_success,
    failures = t.failures + i.new_failures,
    last_updated = now()
  from unnest(v_ids, v_attempts, v_success, v_failures) as i (task_id, attempt, new_success, new_failures)
  where t.id = i.task_id and t.attempt = coalesce(i.attempt, t.attempt)
    and i.new_success <= 9223372036854775807 - t.success and i.new_failures <= 9223372036854775807 - t.failures;
  v_cause := set_config('taskrunner.cause', '', true);
end $$;
