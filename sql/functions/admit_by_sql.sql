-- Tasks that an UPDATE has set to Claimed: they pass the same check as a claim, all or none, and nothing is parked (contract 13.1).
-- A rule that is used for the first time begins to be counted here (count_shapes_now). Then more tasks are held than the client
-- asked for, so it is not waited long for limits.
-- Locks: advisory per kind, shared, tried; those of count_shapes_now; rows of limit_lock. SQLSTATE: TR008.
-- Writes slot, limit_shape.
-- Called by: task_600_queue_update, before it writes active_task.
create or replace function taskrunner_private.admit_by_sql(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_ids uuid[];
  v_ruled uuid[];
  v_kinds text[];
  v_decision record;
  v_new boolean;
  v_refused uuid;
begin
  select array_agg(t.id order by t.priority desc, t.seq), coalesce(array_agg(t.id) filter (where t.rules <> '[]'), '{}'),
    array_agg(distinct t.kind)
  into v_ids, v_ruled, v_kinds
  from unnest(p_ids) as given (id)
  cross join lateral (select x.* from taskrunner.task x where x.id = given.id offset 0) t;
  if taskrunner_private.try_lock_kinds(v_kinds) <> '{}' then
    raise exception 'task %: somebody uses a rule about its kind for the first time at this moment, try again', v_ids[1]
      using errcode = 'TR008', detail = 'Pending';
  end if;
  if v_ruled <> '{}' then
    v_new := exists (select from taskrunner_private.rule_needs(v_ruled) n where n.shape_id is null);
    if v_new and not taskrunner_private.count_shapes_now(v_ruled) then
      raise exception 'task %: a rule is used for the first time, and other tasks of its kind start or end at this moment, try again',
        v_ruled[1] using errcode = 'TR008', detail = 'Pending';
    end if;
    v_decision := taskrunner_private.admit(v_ids, v_ruled, cardinality(v_ids), case when v_new then 100 end);
    v_refused := v_decision.refused[1];
    if v_refused is not null then
      raise exception 'task %: held by its rule %', v_refused, (
          select n.rule from taskrunner_private.rule_needs(array[v_refused]) n
          where n.unsized and v_decision.held_by[1] is null
            or (n.limit_id, n.maximum, n.is_capacity) = (v_decision.held_by[1], v_decision.held_maximum[1], v_decision.held_capacity[1])
          order by n.n limit 1)
        using errcode = 'TR008', detail = 'Pending';
    elsif v_decision.undecided <> '{}' then
      raise exception 'task %: somebody else decides about its rules'' limits at this moment, try again', v_decision.undecided[1]
        using errcode = 'TR008', detail = 'Pending';
    end if;
  end if;
  perform taskrunner_private.insert_slots(v_ids, v_kinds);
end $$;
