-- Gates whose tasks could start as far as the limit is concerned for which they wait, while nothing is under way for them: neither a
-- probe nor a wake row. Beside room that progress made in Capacity limits there are none.
-- p_all false: only those that wait for a Capacity limit.
-- Locks: none. Called by: recheck_limits, check_invariants.
create or replace function taskrunner_private.passable_gates(p_all boolean)
returns table (gate_id bigint, limit_id bigint, is_capacity boolean, used bigint, maximum bigint)
language sql stable set search_path = pg_catalog, pg_temp
set enable_bitmapscan = off set enable_mergejoin = off set jit = off as $$
  with held as materialized (
    select l.id, u.slots, u.work
    from (
      select g.id, bool_or(g.sums) as sums
      from (
        select x.blocked_by as id, true as sums from taskrunner_private.gate x where x.is_capacity
        union all
        select x.blocked_by, false from taskrunner_private.gate x where p_all) g
      group by g.id) l
    cross join lateral (
      select (select count(*) from taskrunner_private.slot s where s.limit_id = l.id) as slots,
        case when l.sums then (
          select coalesce(sum(w.work), 0) from taskrunner_private.slot s
          cross join lateral (
            select taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
            from taskrunner.task t where t.id = s.task_id offset 0) w
          where s.limit_id = l.id) end as work
      offset 0) u
    where not exists (select from taskrunner_private.queued_task q where q.limit_id = l.id)
      and not exists (select from taskrunner_private.wake w where w.limit_id = l.id)
  )
  select g.id, g.blocked_by, g.is_capacity, h.slots, g.maximum
  from held h
  join taskrunner_private.gate g on g.blocked_by = h.id
  where (p_all or g.is_capacity) and case when g.is_capacity then h.work < g.maximum else h.slots < g.maximum end
    and exists (select from taskrunner_private.queued_task q where q.gate_id = g.id and q.state::text = 'parked');
$$;
