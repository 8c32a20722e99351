-- Parks tasks at their gates: they leave the index of ready ones until the limit that holds them has room. A gate is known by a
-- hash of its requirements, and knows a bound of its best task (unpark). A task that lacks expected_count has no gate: only a
-- change of the task itself frees it.
-- p_by, p_maxima, p_capacity: the requirement that was not met (admit).
-- Locks: rows of queued_task; the caller holds their tasks and the stripes of all their limits. Writes gate, queued_task.
-- Called by: claim_tasks.
create or replace function taskrunner_private.park(p_ids uuid[], p_by bigint[], p_maxima bigint[], p_capacity boolean[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = off set jit = off as $$
declare
  v_gates bigint[];
begin
  with gate_of as materialized (
    select n.task_id, array_agg(distinct n.limit_id) as limit_ids, array_agg(distinct n.shape_id) as shape_ids,
      jsonb_hash_extended(
      jsonb_agg(jsonb_build_array(n.limit_id, n.is_capacity, n.maximum) order by n.limit_id, n.is_capacity, n.maximum),
      8312345678901234567) as id
    from taskrunner_private.rule_needs(p_ids) n
    group by n.task_id
  ), refused as materialized (
    select p.n, g.id, g.limit_ids, g.shape_ids, p.blocked_by, p.maximum, p.is_capacity, q.priority, q.seq
    from unnest(p_ids, p_by, p_maxima, p_capacity) with ordinality p (task_id, blocked_by, maximum, is_capacity, n)
    cross join lateral (
      select x.priority, x.seq from taskrunner_private.queued_task x where x.task_id = p.task_id offset 0) q
    left join gate_of g on g.task_id = p.task_id and p.blocked_by is not null
  ), opened as (
    insert into taskrunner_private.gate as old (
      id, limit_ids, shape_ids, blocked_by, maximum, is_capacity, best_priority, best_seq)
    select distinct on (r.id) r.id, r.limit_ids, r.shape_ids, r.blocked_by, r.maximum, r.is_capacity,
      first_value(r.priority) over (partition by r.id order by r.priority desc, r.seq),
      first_value(r.seq) over (partition by r.id order by r.priority desc, r.seq)
    from refused r
    where r.id is not null
    order by r.id, r.n desc
    on conflict (id) do update
    set blocked_by = excluded.blocked_by, maximum = excluded.maximum, is_capacity = excluded.is_capacity,
      best_priority = greatest(old.best_priority, excluded.best_priority),
      best_seq = case
        when old.best_priority = excluded.best_priority then least(old.best_seq, excluded.best_seq)
        when old.best_priority > excluded.best_priority then old.best_seq else excluded.best_seq end
    where (old.blocked_by, old.maximum, old.is_capacity)
      is distinct from (excluded.blocked_by, excluded.maximum, excluded.is_capacity)
      or (old.best_priority, -old.best_seq) < (excluded.best_priority, -excluded.best_seq)
  )
  select array_agg(r.id order by r.n) into v_gates from refused r;
  update taskrunner_private.queued_task q
  set state = 'parked', gate_id = p.gate_id, limit_id = null, put_off = 0
  from unnest(p_ids, v_gates) p (task_id, gate_id)
  where q.task_id = p.task_id;
end $$;
