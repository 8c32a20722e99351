-- Takes the stamp of a loop ('start' or 'deliver') of a replica back: it has so much to do that it looks again soon anyway, and whoever
-- makes work for it is spared the notification.
-- Locks: the replica's row. Writes replica (idle_start_at, idle_deliver_at).
create or replace function taskrunner_private.stay_awake(p_replica uuid, p_loop text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  update taskrunner_private.replica r
  set idle_start_at = case when p_loop <> 'start' then r.idle_start_at end,
    idle_deliver_at = case when p_loop <> 'deliver' then r.idle_deliver_at end
  where r.id = p_replica;
end $$;
