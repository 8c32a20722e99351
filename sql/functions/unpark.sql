-- Makes parked tasks ready where a limit has room: of all gates that wait for it the best tasks, as many as fit, as probes. The
-- claim decides about each of them again. A probe counts as if it had started already, until a claim has decided.
-- Afterwards, for each limit: a gate that waits for it and would pass has a probe, or a wake row stands. So no task is forgotten.
-- The cost depends neither on how many tasks are parked nor on how many gates wait. Gates stand in the order of their best tasks
-- (best_priority, best_seq). That is a bound: a task that is canceled, paused or changed leaves it behind, and only park raises it.
-- So a few more gates are read than there is room for, what comes before all gates that were not read is taken, and bounds that
-- were found too good are mended, as are those of gates that gave something away. Only if nothing could be taken it is looked again, further.
-- A task whose row somebody holds is passed over for the next best; he may give it back, so a wake row stands for it.
-- Returns how many became ready.
-- Locks: rows of queued_task, skip locked, without their tasks: the caller waits for nothing afterwards. He holds the stripes,
-- without which nobody writes the gates that wait for these limits. Writes queued_task, gate, wake.
-- Called by: claim_tasks, wake_limits, recheck_limits.
create or replace function taskrunner_private.unpark(p_limits bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_most constant integer := 300;                            -- probes of a limit at once: a claim decides about no more
  v_further integer;                                         -- how many gates and tasks to read beyond the room
  v_passing integer := 0;                                    -- how many held tasks to read over
  v_limits bigint[]; v_used bigint[]; v_sums numeric[]; v_rooms bigint[];
  v_ids uuid[]; v_of bigint[]; v_at_most bigint[]; v_priorities integer[]; v_seqs bigint[];
  v_gates bigint[];
  v_far bigint[];                                            -- limits with gates that were not read
  v_taken uuid[]; v_taken_of bigint[];
  v_held bigint[];                                           -- limits of tasks whose rows somebody holds
  v_wake bigint[] := '{}';
  v_unparked integer := 0;
begin
  select array_agg(l.id), array_agg(l.used), array_agg(l.work), array_agg(l.room) into v_limits, v_used, v_sums, v_rooms
  from (
    select c.id, c.slots + c.probes as used, c.work, r.room
    from (select distinct unnest(p_limits) as id) given
    cross join lateral (
      select given.id,
        (select count(*) from taskrunner_private.slot s where s.limit_id = given.id) as slots,
        (select count(*) from taskrunner_private.queued_task q where q.limit_id = given.id) as probes,
        case when exists (select from taskrunner_private.gate g where g.blocked_by = given.id and g.is_capacity) then (
          select coalesce(sum(w.work), 0) from taskrunner_private.slot s
          cross join lateral (
            select taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
            from taskrunner.task t where t.id = s.task_id offset 0) w
          where s.limit_id = given.id) end as work
      where exists (select from taskrunner_private.gate g where g.blocked_by = given.id)
      offset 0) c
    -- By the first gate that passes; where others would let pass more, these have their turn afterwards. A Capacity rule lets one
    -- pass at a time, because its size is not known before.
    cross join lateral (
      select coalesce((
          select least(g.maximum - c.slots - c.probes, c_most) from taskrunner_private.gate g
          where g.blocked_by = c.id and not g.is_capacity and g.maximum > c.slots + c.probes
          order by g.best_priority desc, g.best_seq limit 1),
        case when c.probes = 0 and c.work is not null then 1 end) as room
      offset 0) r
    where r.room is not null
  ) l;

  foreach v_further in array array[16, 128, 1024] loop
    exit when v_limits is null;
    with near as materialized (
      select l.id as limit_id, l.used, l.room, g.*
      from unnest(v_limits, v_used, v_sums, v_rooms) l (id, used, work, room)
      cross join lateral (
        select x.*, count(*) over () = l.room + v_further as far,
          first_value(x.best_priority) over (order by x.best_priority, x.best_seq desc) as last_priority,
          first_value(x.best_seq) over (order by x.best_priority, x.best_seq desc) as last_seq
        from (
          (select y.id, y.is_capacity, y.maximum, y.best_priority, y.best_seq from taskrunner_private.gate y
          where y.blocked_by = l.id and not y.is_capacity and y.maximum > l.used
          order by y.best_priority desc, y.best_seq limit l.room + v_further)
          union all
          (select y.id, y.is_capacity, y.maximum, y.best_priority, y.best_seq from taskrunner_private.gate y
          where y.blocked_by = l.id and y.is_capacity and y.maximum > l.work
            and not exists (select from taskrunner_private.queued_task q where q.limit_id = l.id)
          order by y.best_priority desc, y.best_seq limit l.room + v_further)
          order by 4 desc, 5 limit l.room + v_further
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
        limit greatest(case when h.is_capacity then 1 else least(h.room, h.maximum - h.used) end - h.before + v_passing, 0)) best
      where not h.far or (best.priority, -best.seq) >= (h.last_priority, -h.last_seq)
    )
    select o.ids, o.limits, o.at_most, o.priorities, o.seqs, f.gates, f.limits
    into v_ids, v_of, v_at_most, v_priorities, v_seqs, v_gates, v_far
    from (
      select coalesce(array_agg(x.task_id), '{}') as ids, array_agg(x.limit_id) as limits, array_agg(x.at_most) as at_most,
        array_agg(x.priority) as priorities, array_agg(x.seq) as seqs
      from offers x) o
    cross join (
      select coalesce(array_agg(x.id), '{}') as gates, coalesce(array_agg(distinct x.limit_id), '{}') as limits
      from near x where x.far) f;

    v_taken := '{}'; v_taken_of := '{}'; v_held := '{}';
    if v_ids <> '{}' then
      with tried as materialized (
        select u.*, q.task_id is not null as got
        from unnest(v_ids, v_of, v_at_most, v_priorities, v_seqs) u (id, limit_id, at_most, priority, seq)
        left join lateral (
          select x.task_id from taskrunner_private.queued_task x
          where x.task_id = u.id and x.state::text = 'parked' for update skip locked) q on true
      )
      select coalesce(array_agg(o.id) filter (where o.got and o.ahead < o.at_most), '{}'),
        coalesce(array_agg(o.limit_id) filter (where o.got and o.ahead < o.at_most), '{}'),
        coalesce(array_agg(distinct o.limit_id) filter (where not o.got), '{}')
      into v_taken, v_taken_of, v_held
      from (
        select t.*, count(*) filter (where t.got) over (partition by t.limit_id order by t.priority desc, t.seq
            rows between unbounded preceding and 1 preceding) as ahead
        from tried t) o;
      update taskrunner_private.queued_task q
      set state = 'ready', limit_id = u.limit_id
      from unnest(v_taken, v_taken_of) u (task_id, limit_id)
      where q.task_id = u.task_id;
    end if;
    v_unparked := v_unparked + cardinality(v_taken);
    if v_gates <> '{}' then
      perform taskrunner_private.mend_gates(v_gates);
    end if;
    v_wake := v_wake || v_held;
    select array_agg(l.id), array_agg(l.used), array_agg(l.work), array_agg(l.room) into v_limits, v_used, v_sums, v_rooms
    from unnest(v_limits, v_used, v_sums, v_rooms) l (id, used, work, room)
    where l.id <> all(v_taken_of) and l.id = any(v_far || v_held);
    v_passing := v_further;
  end loop;
  v_wake := v_wake || coalesce(v_limits, '{}');
  if v_wake <> '{}' then
    perform taskrunner_private.wake_later(v_wake);
  end if;
  return v_unparked;
end $$;
