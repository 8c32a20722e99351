-- Makes parked tasks ready where a limit has room: of all gates that wait for it the best tasks, as many as fit, as probes. The
-- claim decides about each of them again. A probe counts as if it had started already, until a claim has decided.
-- Afterwards, for each limit: a gate that waits for it and would pass has a probe, or a wake row stands. So no task is forgotten.
-- The cost does not depend on how many tasks are parked.
-- Returns how many became ready.
-- Locks: rows of queued_task, skip locked, without their tasks: the caller waits for nothing afterwards. He holds the stripes.
-- Writes queued_task, wake. Called by: claim_tasks, wake_limits, recheck_limits.
create or replace function taskrunner_private.unpark(p_limits bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_limits bigint[];
  v_used bigint[];
  v_sums numeric[];
  v_ids uuid[];
  v_of bigint[];
  v_got uuid[];
begin
  select array_agg(l.id), array_agg(l.used), array_agg(l.work) into v_limits, v_used, v_sums
  from (
    select l.id,
      (select count(*) from taskrunner_private.slot s where s.limit_id = l.id)
        + (select count(*) from taskrunner_private.queued_task q where q.limit_id = l.id) as used,
      case when exists (select from taskrunner_private.gate g where g.blocked_by = l.id and g.is_capacity) then (
        select coalesce(sum(w.work), 0) from taskrunner_private.slot s
        cross join lateral (
          select taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
          from taskrunner.task t where t.id = s.task_id offset 0) w
        where s.limit_id = l.id) end as work
    from (select distinct unnest(p_limits) as id) l
    where exists (select from taskrunner_private.gate g where g.blocked_by = l.id)
  ) l;
  if v_limits is null then
    return 0;
  end if;

  -- A gate offers as many as it would let pass; of all that a limit is offered the first ones fit. A Capacity rule lets one pass
  -- at a time, because its size is not known before.
  select array_agg(o.task_id), array_agg(o.limit_id) into v_ids, v_of
  from (
    select l.id as limit_id, l.used, g.is_capacity, g.maximum, best.task_id,
      row_number() over (partition by l.id order by best.priority desc, best.seq) - 1 as ahead
    from unnest(v_limits, v_used, v_sums) l (id, used, work)
    cross join lateral (
      select x.id, x.maximum, x.is_capacity from taskrunner_private.gate x where x.blocked_by = l.id offset 0) g
    cross join lateral (
      select q.task_id, q.priority, q.seq
      from taskrunner_private.queued_task q
      where q.gate_id = g.id and q.state::text = 'parked'
      order by q.priority desc, q.seq
      limit case when not g.is_capacity then greatest(g.maximum - l.used, 0) when l.work < g.maximum then 1 else 0 end) best
  ) o
  where case when o.is_capacity
    then o.ahead = 0 and not exists (select from taskrunner_private.queued_task q where q.limit_id = o.limit_id)
    else o.maximum > o.used + o.ahead end;
  if v_ids is null then
    return 0;
  end if;

  v_got := array(
    select q.task_id from taskrunner_private.queued_task q
    where q.task_id = any(v_ids) and q.state::text = 'parked' for update skip locked);
  update taskrunner_private.queued_task q
  set state = 'ready', limit_id = u.limit_id
  from unnest(v_ids, v_of) u (task_id, limit_id)
  where q.task_id = u.task_id and u.task_id = any(v_got);
  -- Somebody holds the row, and may give it back.
  if cardinality(v_got) < cardinality(v_ids) then
    perform taskrunner_private.wake_later(array(
      select u.limit_id from unnest(v_ids, v_of) u (task_id, limit_id) where u.task_id <> all(v_got)));
  end if;
  return cardinality(v_got);
end $$;
