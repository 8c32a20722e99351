-- Tasks that an UPDATE has set to Claimed: they pass the same check as a claim, all or none, and nothing is parked (contract 13.1).
-- Locks: advisory per kind, shared, tried; rows of limit_lock. SQLSTATE: TR008. Writes slot, shape_request.
-- Called by: task_600_queue_update, before it writes active_task.
create or replace function taskrunner_private.admit_by_sql(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_ids uuid[];
  v_ruled uuid[];
  v_kinds text[];
  v_decision record;
  v_refused uuid;
begin
  select array_agg(t.id order by t.priority desc, t.seq), coalesce(array_agg(t.id) filter (where t.rules <> '[]'), '{}'),
    array_agg(distinct t.kind)
  into v_ids, v_ruled, v_kinds
  from unnest(p_ids) as given (id)
  cross join lateral (select x.* from taskrunner.task x where x.id = given.id offset 0) t;
  if taskrunner_private.try_lock_kinds(v_kinds) <> '{}' then
    raise exception 'task %: a rule is being used for the first time, try again', v_ids[1]
      using errcode = 'TR008', detail = 'Pending';
  end if;
  if v_ruled <> '{}' then
    v_decision := taskrunner_private.admit(v_ids, v_ruled, cardinality(v_ids), null);
    v_refused := coalesce(v_decision.refused[1], v_decision.undecided[1]);
    if v_decision.refused <> '{}' then
      raise exception 'task %: a rule''s limit is reached', v_refused using errcode = 'TR008', detail = 'Pending';
    elsif v_refused is not null then
      raise exception 'task %: a rule is being used for the first time, try again', v_refused
        using errcode = 'TR008', detail = 'Pending';
    end if;
  end if;
  perform taskrunner_private.insert_slots(v_ids, v_kinds);
end $$;
