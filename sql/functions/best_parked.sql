-- The best tasks of all gates that wait for these limits and would pass, as many as fit, and some more in case somebody holds their
-- rows. The cost depends neither on how many tasks are parked nor on how many gates wait. Gates stand in the order of their best tasks
-- (best_priority, best_seq). That is a bound: a task that is canceled, paused or changed leaves it behind, and only park raises it. So
-- p_further more gates are read than there is room for, and only what comes before all gates that were not read is offered.
-- p_limits, p_used, p_work, p_rooms: see limit_rooms. p_passing: how many more tasks of each gate.
-- Returns the tasks with their limits, places in order, and how many at most its gate lets pass (at_most); the gates that were read
-- where more of them stand (gates), and the limits of these (far).
-- Locks: none. Called by: unpark.
create or replace function taskrunner_private.best_parked(
  p_limits bigint[], p_used bigint[], p_work numeric[], p_rooms bigint[], p_further integer, p_passing integer,
  out ids uuid[], out limits bigint[], out at_most bigint[], out priorities integer[], out seqs bigint[],
  out gates bigint[], out far bigint[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  with near as materialized (
    select l.id as limit_id, l.used, l.room, g.*
    from unnest(p_limits, p_used, p_work, p_rooms) l (id, used, work, room)
    cross join lateral (
      select x.*, count(*) over () = l.room + p_further as far,
        first_value(x.best_priority) over (order by x.best_priority, x.best_seq desc) as last_priority,
        first_value(x.best_seq) over (order by x.best_priority, x.best_seq desc) as last_seq
      from (
        (select y.id, y.is_capacity, y.maximum, y.best_priority, y.best_seq from taskrunner_private.gate y
        where y.blocked_by = l.id and not y.is_capacity and y.maximum > l.used
        order by y.best_priority desc, y.best_seq limit l.room + p_further)
        union all
        (select y.id, y.is_capacity, y.maximum, y.best_priority, y.best_seq from taskrunner_private.gate y
        where y.blocked_by = l.id and y.is_capacity and y.maximum > l.work
          and not exists (select from taskrunner_private.queued_task q where q.limit_id = l.id)
        order by y.best_priority desc, y.best_seq limit l.room + p_further)
        order by 4 desc, 5 limit l.room + p_further
      ) x offset 0) g
  ), heads as materialized (
    select n.*, h.priority, h.seq, row_number() over (partition by n.limit_id order by h.priority desc, h.seq) - 1 as before
    from near n
    cross join lateral (
      select q.priority, q.seq from taskrunner_private.queued_task q
      where q.gate_id = n.id and q.state::text = 'parked'
      order by q.priority desc, q.seq limit 1) h
  ), offers as materialized (
    -- Before the n-th task of a gate come n of its own, and one at least of each gate whose first one is better.
    select h.limit_id, best.task_id, best.priority, best.seq,
      case when h.is_capacity then 1 else least(h.room, h.maximum - h.used) end as at_most
    from heads h
    cross join lateral (
      select q.task_id, q.priority, q.seq
      from taskrunner_private.queued_task q
      where q.gate_id = h.id and q.state::text = 'parked'
      order by q.priority desc, q.seq
      limit greatest(case when h.is_capacity then 1 else least(h.room, h.maximum - h.used) end - h.before + p_passing, 0)) best
    where not h.far or (best.priority, -best.seq) >= (h.last_priority, -h.last_seq)
  )
  select o.ids, o.limits, o.at_most, o.priorities, o.seqs, f.gates, f.limits
  into ids, limits, at_most, priorities, seqs, gates, far
  from (
    select coalesce(array_agg(x.task_id), '{}') as ids, array_agg(x.limit_id) as limits, array_agg(x.at_most) as at_most,
      array_agg(x.priority) as priorities, array_agg(x.seq) as seqs
    from offers x) o
  cross join (
    select coalesce(array_agg(x.id), '{}') as gates, coalesce(array_agg(distinct x.limit_id), '{}') as limits
    from near x where x.far) f;
end $$;
