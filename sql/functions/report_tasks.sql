-- (5) Reports of remote sides (PATCH, finish_task, finish_tasks), many at once: locks everything in one ordered step,
-- classifies every item in a later statement, changes the good ones and answers each. No item's fault touches another.
-- p_items: [{"task_id", "attempt"?, "status"?, "failure_reason"?, "new_success"?, "new_failures"?, "metadata"?,
-- "expected_count"?, "priority"?}], a task at most once; JSON null equals absence. Shapes and ranges are the caller's.
-- outcome: done, unknown, stale (older attempt), ahead (newer one), state, overflow; or what is wrong with new metadata, which must
-- have the fields that the task's rules name, beginning with 'metadata: '.
-- A Failure with attempts left is a retry (contract 6.6): the task goes back to Pending, or stays paused, with its next attempt.
-- Locks: graph lock shared, rows of task by rank (lock_affected). SQLSTATEs: 40001, TR009.
-- Writes task (status, failure_reason, ended_at, last_updated, paused_from, success, failures, metadata, expected_count,
-- priority; in a retry attempt, run_at, started_at and contacted as well).
create or replace function taskrunner_private.report_tasks(p_items jsonb)
returns table (task_id uuid, outcome text, current_status taskrunner.status_kind, counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_ending uuid[];
  v_failing uuid[];
  v_statuses taskrunner.status_kind[];
  v_outcomes text[];
  v_retries boolean[];
  v_cause text;
  v_counts text;
begin
  perform taskrunner_private.begin_counts();
  select array_agg(i.task_id), coalesce(array_agg(i.task_id) filter (where i.status is not null), '{}'),
    coalesce(array_agg(i.task_id) filter (where i.status = 'Failure'), '{}')
  into v_ids, v_ending, v_failing
  from jsonb_to_recordset(p_items) as i (task_id uuid, status taskrunner.status_kind);
  if v_ids is null then
    return;
  end if;
  perform taskrunner_private.lock_affected(v_ids, v_ending, v_failing, true);

  select array_agg(i.task_id order by i.n), array_agg(t.status order by i.n), array_agg(case
    when t.id is null then 'unknown'
    when i.attempt < t.attempt then 'stale'
    when i.attempt > t.attempt then 'ahead'
    when i.status is null and taskrunner_private.is_terminal(t.status) then 'state'
    when i.status is not null and not (t.status in ('Claimed', 'Running')
      or (t.status in ('Pending', 'Paused') and t.contacted)) then 'state'
    when coalesce(i.new_success, 0) > 9223372036854775807 - t.success
      or coalesce(i.new_failures, 0) > 9223372036854775807 - t.failures then 'overflow'
    when i.metadata is not null and t.rules <> '[]' then coalesce((
      select 'metadata: ' || f.message || ' (rules' || f.path || ')'
      from taskrunner_private.rules_errors(t.rules, i.metadata) f limit 1), 'done')
    else 'done' end order by i.n),
    array_agg(coalesce(i.status = 'Failure' and t.attempt < t.max_attempts, false) order by i.n)
  into v_ids, v_statuses, v_outcomes, v_retries
  from rows from (jsonb_to_recordset(p_items) as (
    task_id uuid, attempt integer, status taskrunner.status_kind, new_success bigint, new_failures bigint, metadata jsonb))
    with ordinality as i (task_id, attempt, status, new_success, new_failures, metadata, n)
  left join lateral (select * from taskrunner.task x where x.id = i.task_id offset 0) t on true;

  -- Reports of progress first, results next; each set-wise.
  foreach v_cause in array array['patch', 'report'] loop
    continue when v_cause = 'patch' and cardinality(v_ending) = cardinality(v_ids);
    continue when v_cause = 'report' and v_ending = '{}';
    perform taskrunner_private.set_cause(v_cause);
    update taskrunner.task t
    set success = case when v_retries[i.n] then 0 else t.success + coalesce(i.new_success, 0) end,
      failures = case when v_retries[i.n] then 0 else t.failures + coalesce(i.new_failures, 0) end,
      metadata = coalesce(i.metadata, t.metadata),
      expected_count = coalesce(i.expected_count, t.expected_count),
      priority = coalesce(i.priority, t.priority),
      last_updated = now(),
      status = case when not v_retries[i.n] then coalesce(i.status, t.status)
        when t.status = 'Paused' then 'Paused' else 'Pending' end,
      failure_reason = case when i.status is not null then i.failure_reason else t.failure_reason end,
      ended_at = case when i.status is not null and not v_retries[i.n] then greatest(now(), t.started_at) end,
      paused_from = case when i.status is null then t.paused_from
        when v_retries[i.n] and t.status = 'Paused' then 'Pending'::taskrunner.status_kind end,
      attempt = t.attempt + v_retries[i.n]::integer,
      run_at = case when v_retries[i.n] then now() + taskrunner_private.retry_delay(t.attempt, t.retry_initial_delay_secs,
        t.retry_multiplier, t.retry_max_delay_secs) else t.run_at end,
      started_at = case when not v_retries[i.n] then t.started_at end,
      contacted = t.contacted and not v_retries[i.n]
    from rows from (jsonb_to_recordset(p_items) as (
      task_id uuid, status taskrunner.status_kind, failure_reason text, new_success bigint, new_failures bigint,
      metadata jsonb, expected_count bigint, priority integer))
      with ordinality as i (
        task_id, status, failure_reason, new_success, new_failures, metadata, expected_count, priority, n)
    where t.id = i.task_id and v_outcomes[i.n] = 'done' and (i.status is not null) = (v_cause = 'report');
  end loop;
  perform taskrunner_private.set_cause('');

  v_counts := taskrunner_private.take_counts();
  return query
  select answer.task_id, answer.outcome, answer.status, case when answer.n = 1 then v_counts else '' end
  from unnest(v_ids, v_outcomes, v_statuses) with ordinality as answer (task_id, outcome, status, n);
end $$;
