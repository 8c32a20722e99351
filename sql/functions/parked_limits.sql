-- The limits that hold most of the parked tasks, at most 50: what each says, in words and as the rule of one of its tasks, and how many
-- tasks wait for it. Beyond c_most that is estimated from the oldest so many. Tasks that wait for no limit, because they lack
-- expected_count, are a row without a rule.
-- Locks: none.
create or replace function taskrunner_private.parked_limits() returns table (words text, rule jsonb, waiting bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_most constant integer := 20000;
  v_weight double precision := greatest((
    select count(*) from taskrunner_private.queued_task q where q.state = 'parked')::double precision / c_most, 1);
begin
  return query
  with parked as materialized (
    select o.gate_id as gate, count(*) as n
    from (
      select q.gate_id from taskrunner_private.queued_task q where q.state = 'parked' order by q.created_at, q.seq limit c_most) o
    group by o.gate_id
  ), held as materialized (
    select g.blocked_by, g.maximum, g.is_capacity, sum(p.n) as n, (array_agg(p.gate order by p.n desc, p.gate))[1] as gate
    from parked p
    left join lateral (select x.* from taskrunner_private.gate x where x.id = p.gate offset 0) g on true
    group by g.blocked_by, g.maximum, g.is_capacity
    order by sum(p.n) desc
    limit 50
  )
  select case
      when h.blocked_by is null then 'A Capacity rule limits them, but they have no expected_count.'
      when r.rule is null then 'Rules that are changing.'
      when h.is_capacity then format('Active %s may have less than %s left to do.', r.tasks, h.maximum)
      else format('At most %s of the %s may be active at once.', h.maximum, r.tasks) end,
    r.rule, round(h.n * v_weight)::bigint
  from held h
  left join lateral (
    select n.rule, format('tasks of kind "%s"', n.kind) || coalesce(' with ' || (
      select string_agg(format('%s = %s', f.name, left((t.metadata -> f.name)::text, 100)), ', ' order by f.o)
      from unnest(n.fields) with ordinality f (name, o)), '') as tasks
    from (
      select q.task_id from taskrunner_private.queued_task q
      where q.gate_id = h.gate and q.state = 'parked' order by q.priority desc, q.seq limit 1) one
    cross join lateral (select x.metadata from taskrunner.task x where x.id = one.task_id offset 0) t
    cross join lateral (
      select y.* from taskrunner_private.rule_needs(array[one.task_id]) y
      where y.limit_id = h.blocked_by and y.is_capacity = h.is_capacity and y.maximum = h.maximum
      order by y.n limit 1) n
    offset 0) r on true
  order by h.n desc, r.rule;
end $$;
