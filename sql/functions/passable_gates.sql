-- Gates whose tasks could start as far as the limit is concerned for which they wait, while nothing is under way for them: neither a
-- probe nor a wake row. Beside room that progress made in Capacity limits there are none.
-- p_all false: only those that wait for a Capacity limit.
-- Locks: none. Called by: recheck_limits, check_invariants.
create or replace function taskrunner_private.passable_gates(p_all boolean)
returns table (gate_id bigint, limit_id bigint, is_capacity boolean, used bigint, maximum bigint)
language sql stable set search_path = pg_catalog, pg_temp
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select g.id, g.blocked_by, g.is_capacity, u.slots, g.maximum
  from taskrunner_private.gate g
  cross join lateral (
    select (select count(*) from taskrunner_private.slot s where s.limit_id = g.blocked_by) as slots offset 0) u
  where (p_all or g.is_capacity) and case when g.is_capacity then (
      select coalesce(sum(w.work), 0) from taskrunner_private.slot s
      cross join lateral (
        select taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
        from taskrunner.task t where t.id = s.task_id offset 0) w
      where s.limit_id = g.blocked_by) < g.maximum
    else u.slots < g.maximum end
    and exists (select from taskrunner_private.queued_task q where q.gate_id = g.id and q.state = 'parked')
    and not exists (select from taskrunner_private.queued_task q where q.limit_id = g.blocked_by)
    and not exists (select from taskrunner_private.wake w where w.limit_id = g.blocked_by);
$$;
