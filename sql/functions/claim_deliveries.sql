-- (6) Leases up to p_limit due End and Cancel deliveries to a replica, oldest first. A lease that ran out counts as
-- none. p_after, p_rescan: as the marks of claim_tasks, here the due time up to which this replica has consumed the
-- queue. A replica that gets nothing after a full look goes to sleep and is stamped as idle.
-- Locks: rows of due_delivery, skip locked. Writes due_delivery (leased_by, leased_until), replica.idle_deliver_at.
create or replace function taskrunner_private.claim_deliveries(
  p_replica uuid, p_limit integer, p_lease_secs integer, p_after timestamptz, p_rescan boolean
) returns table (
  delivery_id uuid, task_id uuid, batch_id uuid, trigger taskrunner.trigger_kind, task_attempt integer,
  number integer, next_try_at timestamptz, idempotency_key text, params jsonb
)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_ids uuid[];
begin
  v_ids := array(
    select d.delivery_id from taskrunner_private.due_delivery d
    where d.next_try_at > p_after and d.next_try_at <= v_now and (d.leased_until is null or d.leased_until < v_now)
    order by d.next_try_at
    limit p_limit
    for update skip locked);
  if p_rescan and p_after > '-infinity' and cardinality(v_ids) < p_limit then
    v_ids := v_ids || array(
      select d.delivery_id from taskrunner_private.due_delivery d
      where d.next_try_at <= p_after and (d.leased_until is null or d.leased_until < v_now)
      order by d.next_try_at
      limit p_limit - cardinality(v_ids)
      for update skip locked);
  end if;
  if v_ids = '{}' then
    if p_rescan then
      update taskrunner_private.replica r set idle_deliver_at = clock_timestamp() where r.id = p_replica;
    end if;
    return;
  end if;
  update taskrunner_private.replica r set idle_deliver_at = null
  where r.id = p_replica and r.idle_deliver_at is not null;

  return query
  with leased as (
    update taskrunner_private.due_delivery d
    set leased_by = p_replica, leased_until = v_now + make_interval(secs => p_lease_secs)
    where d.delivery_id = any(v_ids)
    returning d.delivery_id, d.next_try_at
  )
  select d.id, d.task_id, d.batch_id, d.trigger, d.task_attempt, d.tries + 1, leased.next_try_at,
    taskrunner_private.delivery_key(d.task_id, d.trigger, d.condition, d.number, d.task_attempt), a.params
  from leased
  join taskrunner_private.delivery d on d.id = leased.delivery_id
  join taskrunner.action a on a.id = d.action_id;
end $$;
