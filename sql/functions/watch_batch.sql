-- A replica wants to hear of the next change of a batch, by a notification on channel taskrunner with the payload 'watch'. Returns
-- whether it had wanted to hear already and nothing has changed since. Whoever changes tasks of the batch takes the row away
-- (notify_watchers.sql). A transaction that began to do so before is not heard of, so whoever watches looks by himself as well.
-- A watch lasts a minute at most: a replica that has died is not told for long.
-- Locks: what has expired, skip locked; so nobody is waited for. Writes watch.
create or replace function taskrunner_private.watch_batch(p_replica uuid, p_batch uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_until timestamptz;
begin
  select max(w.expires_at) into v_until
  from taskrunner_private.watch w
  where w.batch_id = p_batch and w.replica_id = p_replica and w.expires_at > v_now;
  if v_until is null or v_until < v_now + interval '30 seconds' then
    delete from taskrunner_private.watch w
    where w.ctid = any(array(select x.ctid from taskrunner_private.watch x where x.expires_at <= v_now limit 1000 for update skip locked));
    insert into taskrunner_private.watch (replica_id, batch_id, expires_at) values (p_replica, p_batch, v_now + interval '1 minute');
  end if;
  return v_until is not null;
end $$;
