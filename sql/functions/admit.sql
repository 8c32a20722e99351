-- Decides which tasks may start now, in the order given (contract 7.2): Concurency counts the slots of a limit, Capacity adds up
-- what their tasks have left to do, and what was admitted a moment ago counts. A task without rules is always admitted, and is
-- given only because its slots count for those behind it.
-- p_ids: in order of decision, the caller holds their tasks and has locked their kinds (try_lock_kinds). p_most: how many may
-- start. p_wait_ms: see lock_stripes.
-- Returns admitted and refused tasks, the refused of a gate in order, each with its gate and the requirement that holds it (null: it
-- lacks expected_count), and those that could not be decided now: a shape that is not counted yet, or a limit that somebody holds. Those
-- for which there was no place are in none of the lists.
-- Stripes stand for all that candidates with rules read or write. Both, because of two tasks that exclude each other: each has to
-- see the other. They are held until the end of the transaction, so what is decided here is true when it commits.
-- Locks: advisory (1414681418, 4) shared; rows of limit_lock. Writes shape_request, limit_shape. Called by: claim_tasks, admit_by_sql.
create or replace function taskrunner_private.admit(
  p_ids uuid[], p_ruled uuid[], p_most integer, p_wait_ms integer,
  out admitted uuid[], out refused uuid[], out gates bigint[], out held_by bigint[], out held_maximum bigint[], out held_capacity boolean[],
  out undecided uuid[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = on set enable_mergejoin = off set jit = off as $$
declare
  v_need_ids uuid[]; v_need_limits bigint[]; v_need_capacity boolean[]; v_need_maxima bigint[]; v_need_unsized boolean[];
  v_unknown uuid[]; v_shapes integer[];
  v_slot_ids uuid[]; v_slot_limits bigint[];
  v_limits bigint[]; v_missing integer[];
  v_counts bigint[]; v_sums numeric[];                       -- by place in v_limits
  v_capacity bigint[];
  v_holds integer[];                                         -- of each refused task the need that is not met, as a place in v_need_…
  v_hold integer; v_need integer; v_place integer;
  v_candidate record;
begin
  admitted := '{}'; refused := '{}'; gates := '{}'; held_by := '{}'; held_maximum := '{}'; held_capacity := '{}'; undecided := '{}';

  -- Shapes do not vanish until the end of the transaction. Who makes them vanish holds this for a moment, and waits for nothing.
  perform pg_advisory_xact_lock_shared(1414681418, 4);
  select coalesce(array_agg(n.task_id), '{}'), array_agg(n.limit_id), array_agg(n.is_capacity), array_agg(n.maximum),
    array_agg(n.unsized), coalesce(array_agg(distinct n.task_id) filter (where n.shape_id is null), '{}'),
    array_agg(distinct n.shape_id)
  into v_need_ids, v_need_limits, v_need_capacity, v_need_maxima, v_need_unsized, v_unknown, v_shapes
  from taskrunner_private.rule_needs(p_ruled) n;
  perform taskrunner_private.use_shapes(v_shapes);
  select coalesce(array_agg(s.task_id), '{}'), array_agg(s.limit_id) into v_slot_ids, v_slot_limits
  from taskrunner_private.task_slots(p_ids) s;
  if v_unknown <> '{}' then
    perform taskrunner_private.request_shapes(v_unknown, false);
    undecided := v_unknown;
  end if;

  v_limits := array(
    select u.limit_id from unnest(v_need_ids, v_need_limits) u (id, limit_id)
    where u.limit_id is not null and u.id <> all(v_unknown)
    union
    select u.limit_id from unnest(v_slot_ids, v_slot_limits) u (id, limit_id)
    where exists (select from unnest(p_ruled) r (id) where r.id = u.id) and u.id <> all(v_unknown));
  v_missing := taskrunner_private.lock_stripes(v_limits, p_wait_ms);
  if v_missing <> '{}' then
    undecided := undecided || array(
      select u.id from unnest(v_need_ids || v_slot_ids, v_need_limits || v_slot_limits) u (id, limit_id)
      where (u.limit_id & 16383)::integer = any(v_missing) and u.id = any(p_ruled) and u.id <> all(v_unknown)
      group by u.id);
  end if;

  -- In a later statement, now that nobody else decides about these limits.
  v_capacity := array(
    select distinct u.limit_id from unnest(v_need_limits, v_need_capacity) u (limit_id, is_capacity) where u.is_capacity);
  select array_agg(c.slots order by c.o), array_agg(c.work order by c.o) into v_counts, v_sums
  from (
    select l.o, (select count(*) from taskrunner_private.slot s where s.limit_id = l.id) as slots,
      case when l.id = any(v_capacity) then (
        select coalesce(sum(w.work), 0) from taskrunner_private.slot s
        cross join lateral (
          select taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
          from taskrunner.task t where t.id = s.task_id offset 0) w
        where s.limit_id = l.id) end as work
    from unnest(v_limits) with ordinality l (id, o)
  ) c;

  -- What is full already refuses whatever becomes of others.
  select coalesce(array_agg(r.id order by p.o), '{}'), array_agg(case when not r.impossible then r.hold end order by p.o)
  into refused, v_holds
  from (
    select n.id, bool_or(n.unsized or n.limit_id is null) as impossible,
      min(n.o) filter (where case when n.is_capacity then l.work >= n.maximum else l.slots >= n.maximum end) as hold
    from unnest(v_need_ids, v_need_limits, v_need_capacity, v_need_maxima, v_need_unsized)
      with ordinality n (id, limit_id, is_capacity, maximum, unsized, o)
    left join unnest(v_limits, v_counts, v_sums) l (id, slots, work) on l.id = n.limit_id group by n.id) r
  join unnest(p_ids) with ordinality p (id, o) on p.id = r.id
  where (r.impossible or r.hold is not null) and r.id <> all(undecided);

  if cardinality(p_ids) > cardinality(undecided) + cardinality(refused) then
    for v_candidate in
      with lim as materialized (
        select l.id, l.o from unnest(v_limits) with ordinality l (id, o)
      ), need as materialized (
        select u.id, array_agg(u.o) as needs, array_agg(l.o) as places
        from unnest(v_need_ids, v_need_limits) with ordinality u (id, limit_id, o)
        join lim l on l.id = u.limit_id
        group by u.id
      ), held as materialized (
        select u.id, array_agg(l.o) as places
        from unnest(v_slot_ids, v_slot_limits) u (id, limit_id)
        join lim l on l.id = u.limit_id
        group by u.id
      )
      select g.id, n.needs, n.places, h.places as slots,
        case when v_capacity <> '{}' then (
          select taskrunner_private.work_left(t.expected_count, t.success, t.failures) from taskrunner.task t where t.id = g.id)
          else 0 end as work
      from unnest(p_ids) with ordinality g (id, o)
      left join need n on n.id = g.id
      left join held h on h.id = g.id
      where not exists (select from unnest(undecided || refused) d (id) where d.id = g.id)
      order by g.o
    loop
      v_hold := null;
      for i in 1 .. coalesce(cardinality(v_candidate.needs), 0) loop
        v_need := v_candidate.needs[i];
        v_place := v_candidate.places[i];
        if not v_need_capacity[v_need] and v_counts[v_place] >= v_need_maxima[v_need]
          or v_need_capacity[v_need] and v_sums[v_place] >= v_need_maxima[v_need]
        then
          v_hold := v_need;
          exit;
        end if;
      end loop;
      if v_hold is not null then
        refused := refused || v_candidate.id;
        v_holds := v_holds || v_hold;
      elsif cardinality(admitted) < p_most then
        admitted := admitted || v_candidate.id;
        for i in 1 .. coalesce(cardinality(v_candidate.slots), 0) loop
          v_counts[v_candidate.slots[i]] := v_counts[v_candidate.slots[i]] + 1;
          v_sums[v_candidate.slots[i]] := v_sums[v_candidate.slots[i]] + v_candidate.work;
        end loop;
      end if;
    end loop;
  end if;

  if refused <> '{}' then
    select array_agg(g.id order by r.n), array_agg(v_need_limits[r.hold] order by r.n), array_agg(v_need_maxima[r.hold] order by r.n),
      array_agg(v_need_capacity[r.hold] order by r.n)
    into gates, held_by, held_maximum, held_capacity
    from unnest(refused, v_holds) with ordinality r (task_id, hold, n)
    left join (
      select u.task_id,
        hash_array_extended(array_agg(array[u.limit_id, u.is_capacity::integer, u.maximum]), 8312345678901234567) as id
      from (
        select n.* from unnest(v_need_ids, v_need_limits, v_need_capacity, v_need_maxima) n (task_id, limit_id, is_capacity, maximum)
        order by n.task_id, n.limit_id, n.is_capacity, n.maximum) u
      group by u.task_id) g on g.task_id = r.task_id and r.hold is not null;
  end if;
end $$;
