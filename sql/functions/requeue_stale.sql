-- Claims that nobody works on any more: the call may have been made, so it counts as a lost try with cause
-- 'stale claim'. Claims made by SQL made no call and just go back.
-- Locks: none; the caller holds those of p_ids and of all that fails with them. Called by: sweep_active, sweep_replicas.
create or replace function taskrunner_private.requeue_stale(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set jit = off as $$
declare
  v_tries jsonb;
begin
  select jsonb_agg(jsonb_build_object('task_id', t.id, 'attempt', t.attempt, 'at', a.claimed_at, 'latency_ms',
    least(extract(epoch from clock_timestamp() - a.claimed_at) * 1000, 2147483647)::integer,
    'error', case when a.replica_id is not null then 'stale claim' end))
  into v_tries
  from taskrunner_private.active_task a
  join taskrunner.task t on t.id = a.task_id
  where a.task_id = any(p_ids) and coalesce(t.paused_from, t.status) = 'Claimed';
  if v_tries is not null then
    perform taskrunner_private.settle_failed_starts(v_tries);
  end if;
end $$;
