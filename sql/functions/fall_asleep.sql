-- Stamps a loop ('start' or 'deliver') of a replica as asleep, so that whoever makes work for it notifies it, and says whether all who
-- do will. This and stay_awake are the only ones that write these stamps while the replica lives.
--
-- A loop that found nothing calls it until quiet is true and then looks once more; from there on it need not look unless it is
-- notified. The argument: a writer that notifies nobody has looked at the stamp before its commit was visible, and had its transaction
-- id by then, because it had written the row. The horizon is an id that is taken when the stamp is visible already, so that writer's
-- id is lower. Either it still runs, then quiet is false; or it has ended, then the look that follows sees its row.
--
-- stood: the stamp is visible; if it is false, the stamp has just been set, and the caller asks again. p_horizon: what an earlier call
-- said while the stamp stood, or null. The snapshot alone would not do: it leaves out those who run but whose ids are higher than of all
-- who have ended, so they are asked for one by one; there are few.
-- Locks: the replica's row. Writes replica (idle_start_at, idle_deliver_at).
create or replace function taskrunner_private.fall_asleep(p_replica uuid, p_loop text, p_horizon xid8)
returns table (stood boolean, horizon xid8, quiet boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_running pg_snapshot;
begin
  stood := exists (
    select from taskrunner_private.replica r
    where r.id = p_replica and case p_loop when 'start' then r.idle_start_at else r.idle_deliver_at end is not null);
  quiet := false;
  if not stood then
    update taskrunner_private.replica r
    set idle_start_at = case when p_loop = 'start' then clock_timestamp() else r.idle_start_at end,
      idle_deliver_at = case when p_loop = 'deliver' then clock_timestamp() else r.idle_deliver_at end
    where r.id = p_replica;
    return next;
    return;
  end if;
  horizon := coalesce(p_horizon, pg_current_xact_id());
  v_running := pg_current_snapshot();
  quiet := not exists (select from pg_snapshot_xip(v_running) x (id) where x.id < horizon)
    and not exists (
      select from generate_series(pg_snapshot_xmax(v_running)::text::bigint, horizon::text::bigint - 1) x (id)
      where pg_xact_status(x.id::text::xid8) = 'in progress');
  return next;
end $$;
