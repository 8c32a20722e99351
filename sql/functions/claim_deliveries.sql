-- (6) Leases up to p_limit due End and Cancel deliveries to a replica, oldest first. A lease that ran out counts as
-- none. p_after, p_rescan: as the marks of claim_tasks, here the due time up to which this replica has consumed the
-- queue. p_hosts, p_rooms, p_other_room, p_look, p_host_after: as for claim_tasks, with its by_host, held and passed; a row without a
-- delivery says only these. leased_until names the lease for settle_deliveries. What is left due after a full look, since somebody
-- has locked it, counts as held. traceparent: the trace that the call belongs to, null without one.
-- Locks: advisory (1414681425, replica) shared, for give_back_deliveries; rows of due_delivery, skip locked. Writes due_delivery
-- (leased_by, leased_until).
create or replace function taskrunner_private.claim_deliveries(
  p_replica uuid, p_limit integer, p_lease_secs integer, p_after timestamptz, p_rescan boolean, p_hosts text[] default '{}',
  p_rooms integer[] default '{}', p_other_room integer default null, p_look boolean default false, p_host_after text default ''
) returns table (
  delivery_id uuid, task_id uuid, batch_id uuid, trigger taskrunner.trigger_kind, task_attempt integer,
  number integer, next_try_at timestamptz, idempotency_key text, params jsonb,
  host text, by_host boolean, held boolean, passed text, leased_until timestamptz, traceparent text
)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_ids uuid[];
  v_hosts text[];
  v_more_ids uuid[];
  v_more_hosts text[];
  v_fit integer[];
  v_by_host uuid[] := '{}';
  v_look boolean := p_look and (coalesce(0 >= any(p_rooms), false) or coalesce(p_other_room <= 0, false)); -- fitting_candidates.sql
  v_held boolean := false;
  v_passed text;
begin
  perform pg_advisory_xact_lock_shared(1414681425, hashtext(p_replica::text));
  select coalesce(array_agg(f.delivery_id), '{}'), coalesce(array_agg(f.host), '{}') into v_ids, v_hosts
  from (
    select d.delivery_id, d.host from taskrunner_private.due_delivery d
    where not v_look and d.next_try_at > p_after and d.next_try_at <= v_now and (d.leased_until is null or d.leased_until < v_now)
    order by d.next_try_at
    limit p_limit
    for update skip locked) f;
  if not v_look and p_rescan and p_after > '-infinity' and cardinality(v_ids) < p_limit then
    select coalesce(array_agg(f.delivery_id), '{}'), coalesce(array_agg(f.host), '{}') into v_more_ids, v_more_hosts
    from (
      select d.delivery_id, d.host from taskrunner_private.due_delivery d
      where d.next_try_at <= p_after and (d.leased_until is null or d.leased_until < v_now)
      order by d.next_try_at
      limit p_limit - cardinality(v_ids)
      for update skip locked) f;
    v_ids := v_ids || v_more_ids;
    v_hosts := v_hosts || v_more_hosts;
  end if;
  if cardinality(v_ids) > least(p_other_room, (select min(r.room) from unnest(p_rooms) r (room))) then
    v_fit := taskrunner_private.within_rooms(v_hosts, p_hosts, p_rooms, p_other_room);
    v_held := cardinality(v_fit) < cardinality(v_ids);
  end if;
  if v_held then
    v_ids := array(select v_ids[f.n] from unnest(v_fit) f (n));
    v_hosts := array(select v_hosts[f.n] from unnest(v_fit) f (n));
  end if;
  if v_look or p_look and v_held then
    select h.delivery_ids, h.passed, v_held or h.held into v_by_host, v_passed, v_held
    from taskrunner_private.host_deliveries(
      v_now, p_limit - cardinality(v_ids), p_hosts, p_rooms, p_other_room, v_ids, v_hosts, p_host_after) h;
    v_ids := v_ids || v_by_host;
  end if;
  if p_rescan and not v_held and cardinality(v_ids) < p_limit then
    v_held := exists (
      select from taskrunner_private.due_delivery d
      where d.next_try_at <= v_now and (d.leased_until is null or d.leased_until < v_now) and d.delivery_id <> all(v_ids));
  end if;
  if v_ids = '{}' then
    if v_held then
      return query select null::uuid, null::uuid, null::uuid, null::taskrunner.trigger_kind, 0, 0, v_now, '', null::jsonb, null, false,
        v_held, v_passed, v_now, null;
    end if;
    return;
  end if;

  return query
  with leased as (
    update taskrunner_private.due_delivery d
    set leased_by = p_replica, leased_until = v_now + make_interval(secs => p_lease_secs)
    where d.delivery_id = any(v_ids)
    returning d.delivery_id, d.next_try_at, d.host, d.leased_until
  )
  select d.id, d.task_id, d.batch_id, d.trigger, d.task_attempt, d.tries + 1, leased.next_try_at,
    taskrunner_private.delivery_key(d.task_id, d.trigger, d.condition, d.number, d.task_attempt), a.params,
    leased.host, d.id = any(v_by_host), v_held, v_passed, leased.leased_until, a.traceparent
  from leased
  join taskrunner_private.delivery d on d.id = leased.delivery_id
  join taskrunner.action a on a.id = d.action_id;
end $$;
