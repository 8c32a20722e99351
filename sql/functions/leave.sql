-- A replica that stops says good-bye: its row counts as silent from now on, so that the others take what it still holds at
-- once (sweep_replicas also removes the row), and its leases of deliveries end. Its open calls were waited for, so what is
-- left are tries whose outcome nobody knows.
-- Locks: the replica's row; rows of due_delivery, skip locked. Writes replica, due_delivery (leased_by, leased_until).
create or replace function taskrunner_private.leave(p_replica uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  update taskrunner_private.replica r
  set heartbeat_at = '-infinity', idle_start_at = null, idle_deliver_at = null, idle_wake_at = null, idle_chores_at = null
  where r.id = p_replica;
  update taskrunner_private.due_delivery d
  set leased_by = null, leased_until = null
  where d.delivery_id in (
    select held.delivery_id from taskrunner_private.due_delivery held
    where held.leased_by = p_replica for update skip locked);
end $$;
