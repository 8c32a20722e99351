-- Nobody looks at a batch by way of this replica any more.
-- Locks: its rows of watch, skip locked: somebody who holds one takes it away himself. Writes watch.
create or replace function taskrunner_private.unwatch_batch(p_replica uuid, p_batch uuid) returns void
language sql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
  delete from taskrunner_private.watch w
  where w.ctid = any(array(
    select x.ctid from taskrunner_private.watch x where x.batch_id = p_batch and x.replica_id = p_replica for update skip locked));
$$;
