-- Parks tasks at their gates: they leave the index of ready ones until the limit that holds them has room. A task that lacks
-- expected_count has no gate: only a change of the task itself frees it.
-- Parameters: see open_gates.
-- Locks: rows of gate (open_gates), then of queued_task; the caller holds their tasks and the stripes of all their limits.
-- Writes gate, queued_task. Called by: decide_candidates.
create or replace function taskrunner_private.park(
  p_ids uuid[], p_gates bigint[], p_by bigint[], p_maxima bigint[], p_capacity boolean[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off
set jit = off as $$
begin
  perform taskrunner_private.open_gates(p_ids, p_gates, p_by, p_maxima, p_capacity);
  -- Their rows are looked up by id, whatever statistics say: right after a large INSERT these may call the queue empty, and then a
  -- join alone would read all of it.
  update taskrunner_private.queued_task q
  set state = 'parked', gate_id = p.gate_id, limit_id = null, put_off = 0
  from unnest(p_ids, p_gates) p (task_id, gate_id)
  where q.task_id = p.task_id and q.task_id = any(p_ids);
end $$;
