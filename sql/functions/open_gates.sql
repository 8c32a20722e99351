-- Gates for tasks that are about to be parked: each is there, waits for a limit that holds its tasks, and knows a bound of its best
-- one (unpark).
-- p_ids: in order. p_gates, p_by, p_maxima, p_capacity: their gates, and the requirement of each that was not met (admit); null if
-- that is none.
-- Locks: rows of gate; the caller holds the tasks and the stripes of all their limits, so nobody else writes these gates. Writes gate.
-- Called by: park.
create or replace function taskrunner_private.open_gates(
  p_ids uuid[], p_gates bigint[], p_by bigint[], p_maxima bigint[], p_capacity boolean[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  insert into taskrunner_private.gate as old (
    id, limit_ids, shape_ids, blocked_by, maximum, is_capacity, best_priority, best_seq)
  select b.id, coalesce(k.limit_ids, s.limit_ids), coalesce(k.shape_ids, s.shape_ids), b.blocked_by, b.maximum, b.is_capacity,
    q.priority, q.seq
  from (
    select distinct on (p.gate_id) p.gate_id as id, p.task_id, p.blocked_by, p.maximum, p.is_capacity
    from unnest(p_ids, p_gates, p_by, p_maxima, p_capacity) with ordinality
      p (task_id, gate_id, blocked_by, maximum, is_capacity, n)
    where p.gate_id is not null
    order by p.gate_id, p.n) b
  cross join lateral (
    select x.priority, x.seq from taskrunner_private.queued_task x where x.task_id = b.task_id offset 0) q
  left join lateral (
    select x.* from taskrunner_private.gate x where x.id = b.id offset 0) k on true
  left join lateral (
    select array_agg(distinct n.limit_id) as limit_ids, array_agg(distinct n.shape_id) as shape_ids
    from taskrunner_private.rule_needs(array[b.task_id]) n
    where k.id is null offset 0) s on true
  where k.id is null or (k.blocked_by, k.maximum, k.is_capacity) is distinct from (b.blocked_by, b.maximum, b.is_capacity)
    or (k.best_priority, -k.best_seq) < (q.priority, -q.seq)
  on conflict (id) do update
  set blocked_by = excluded.blocked_by, maximum = excluded.maximum, is_capacity = excluded.is_capacity,
    best_priority = greatest(old.best_priority, excluded.best_priority),
    best_seq = case
      when old.best_priority = excluded.best_priority then least(old.best_seq, excluded.best_seq)
      when old.best_priority > excluded.best_priority then old.best_seq else excluded.best_seq end;
end $$;
