-- The chore of active tasks whose due_at has passed: Running ones without a sign of life for their timeout fail with
-- 'Timeout' or, with attempts left, are retried; stale claims go back, and the others are due again later. One bounded chunk;
-- p_limit tasks at most.
-- Never waits for a task: first the whole chunk is locked at once, and only if somebody holds a part of it each task
-- for itself, so that one open session does not stop the others.
-- Locks: rows of active_task, skip locked: an end that is not committed has deleted its row, and would else be found again
-- and again; afterwards it waits for nothing: graph lock shared and rows of task by rank are only tried. SQLSTATE: TR009.
-- Writes task (status, failure_reason, ended_at, timed_out_attempts; retry_tasks), active_task.due_at.
create or replace function taskrunner_private.sweep_active(p_limit integer, p_claim_timeout_secs integer)
returns table (timed_out integer, requeued integer, looked_at integer, counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();                   -- a variable: a volatile function is no index condition
  v_due uuid[];
  v_locked uuid[] := '{}';
  v_stale uuid[];
  v_timed_out uuid[];                                        -- for good
  v_retried uuid[];
begin
  perform taskrunner_private.begin_counts();
  v_due := array(
    select a.task_id from taskrunner_private.active_task a
    where a.due_at <= v_now order by a.due_at limit p_limit
    for update skip locked);
  if v_due <> '{}' then
    v_locked := taskrunner_private.try_lock_each(v_due);
  end if;

  -- Under the locks, in a later statement: a heartbeat that committed first wins.
  select
    array_agg(t.id) filter (where coalesce(t.paused_from, t.status) = 'Claimed'
      and a.claimed_at + make_interval(secs => p_claim_timeout_secs) <= clock_timestamp()),
    coalesce(array_agg(t.id) filter (where silent and t.attempt = t.max_attempts), '{}'),
    coalesce(array_agg(t.id) filter (where silent and t.attempt < t.max_attempts), '{}')
  into v_stale, v_timed_out, v_retried
  from taskrunner_private.active_task a
  join taskrunner.task t on t.id = a.task_id
  cross join lateral (
    select t.status = 'Running' and t.last_updated + make_interval(secs => t.timeout) <= clock_timestamp() as silent) s
  where a.task_id = any(v_locked) and a.due_at <= v_now;

  if v_stale is not null then
    perform taskrunner_private.requeue_stale(v_stale);
  end if;
  if v_timed_out <> '{}' or v_retried <> '{}' then
    perform taskrunner_private.set_cause('timeout');
    update taskrunner.task t
    set status = 'Failure', failure_reason = 'Timeout', ended_at = greatest(now(), t.started_at),
      timed_out_attempts = t.timed_out_attempts || t.attempt
    where t.id = any(v_timed_out);
    perform taskrunner_private.retry_tasks(v_retried, array_fill('Timeout'::text, array[cardinality(v_retried)]));
    perform taskrunner_private.set_cause('');
  end if;
  update taskrunner_private.active_task a
  set due_at = case
    when t.paused_from = 'Running' then 'infinity'
    when t.status = 'Running' then t.last_updated + make_interval(secs => t.timeout)
    else a.claimed_at + make_interval(secs => p_claim_timeout_secs) end
  from taskrunner.task t
  where a.task_id = any(v_locked) and a.due_at <= v_now and t.id = a.task_id;

  -- What somebody holds is looked at a second later, so that it never keeps younger ones from their turn.
  update taskrunner_private.active_task a
  set due_at = clock_timestamp() + interval '1 second'
  where a.task_id = any(array(select unnest(v_due) except select unnest(v_locked)));

  return query select cardinality(v_timed_out) + cardinality(v_retried), coalesce(cardinality(v_stale), 0), cardinality(v_due),
    taskrunner_private.take_counts();
end $$;
