-- (4) on_start failed. A transient failure with tries left puts the task back to Pending until its backoff is over;
-- otherwise the attempt fails with 'on_start webhook failed: <error>'. A task paused meanwhile counts as paused from
-- Pending. Only the claim that made the call may say so: (replica, claimed_at) must still hold the task.
-- p_tries: [{"task_id", "attempt", "claimed_at", "at", "latency_ms", "status_code", "error", "response", "permanent",
-- "retry_after_secs"}], a task at most once. p_backoff_ms: WEBHOOK_START_BACKOFF_MS.
-- Locks: graph lock shared, rows of task by rank (lock_affected). SQLSTATEs: 40001, TR009.
create or replace function taskrunner_private.fail_starts(p_replica uuid, p_tries jsonb, p_backoff_ms integer)
returns table (task_id uuid, status taskrunner.status_kind, counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_held jsonb;
begin
  perform taskrunner_private.begin_counts();
  v_ids := array(select (item ->> 'task_id')::uuid from jsonb_array_elements(p_tries) item);
  perform taskrunner_private.lock_affected(v_ids, v_ids, v_ids, true);

  -- In a later statement: what this replica still holds, with the wait before the next try (contract 8.5).
  select jsonb_agg(item || jsonb_build_object('delay_secs', greatest(
      p_backoff_ms / 1000.0 * 2 ^ least(coalesce(d.tries, 0), 20) * (0.75 + random() / 2),
      least(coalesce((item ->> 'retry_after_secs')::float8, 0), 300))))
  into v_held
  from jsonb_array_elements(p_tries) item
  cross join lateral (
    select x.task_id from taskrunner_private.active_task x
    where x.task_id = (item ->> 'task_id')::uuid and x.replica_id = p_replica
      and x.claimed_at = (item ->> 'claimed_at')::timestamptz offset 0) a
  cross join lateral (
    select * from taskrunner.task x
    where x.id = a.task_id and x.attempt = (item ->> 'attempt')::integer offset 0) t
  left join lateral (
    select x.tries from taskrunner_private.delivery x
    where x.task_id = t.id and x.trigger = 'Start' and x.condition is null and x.number = 1
      and x.task_attempt = t.attempt offset 0) d on true
  where coalesce(t.paused_from, t.status) = 'Claimed';

  if v_held is not null then
    perform taskrunner_private.settle_failed_starts(v_held);
  end if;
  return query
  select t.id, t.status, c.counts
  from taskrunner.task t
  cross join (select taskrunner_private.take_counts() as counts offset 0) c
  where t.id = any(v_ids);
end $$;
