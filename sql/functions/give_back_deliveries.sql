-- give_back_claims for deliveries: the leases of a replica end, but for those of p_kept, whose calls are open or not settled. Nobody else
-- sends the others, for only who has heard of a lease does. It looks at the oldest that are due, where claims begin, since leases are in
-- no index; one that stands behind 1,000 others, of hosts without room, runs out.
-- Returns how many, or null while a claim of the replica has not ended: ask again.
-- Locks: advisory (1414681425, replica), tried; rows of due_delivery, skip locked. Writes due_delivery (leased_by, leased_until). Called
-- by: a deliver loop, whose next claim waits for it.
create or replace function taskrunner_private.give_back_deliveries(p_replica uuid, p_kept uuid[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_unknown uuid[];
  v_given_back integer;
begin
  if not pg_try_advisory_xact_lock(1414681425, hashtext(p_replica::text)) then
    return null;
  end if;
  v_unknown := array(
    select f.delivery_id
    from (
      select d.delivery_id, d.leased_by from taskrunner_private.due_delivery d
      where d.next_try_at <= v_now
      order by d.next_try_at
      limit 1000) f
    where f.leased_by = p_replica and f.delivery_id <> all(p_kept));
  -- Is it still the same lease, under the lock?
  update taskrunner_private.due_delivery d
  set leased_by = null, leased_until = null
  where d.delivery_id = any(array(
    select x.delivery_id from taskrunner_private.due_delivery x
    where x.delivery_id = any(v_unknown) and x.leased_by = p_replica for update skip locked));
  get diagnostics v_given_back = row_count;
  return v_given_back;
end $$;
