-- Notes that something is decided by these shapes, every 10 minutes at most: what is not used for an hour may be dropped (drop_shape).
-- Locks: rows of limit_shape, skip locked. Writes limit_shape.used_at. Called by: admit.
create or replace function taskrunner_private.use_shapes(p_ids integer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  if exists (
    select from taskrunner_private.limit_shape s where s.id = any(p_ids) and s.used_at < now() - interval '10 minutes')
  then
    update taskrunner_private.limit_shape s set used_at = now()
    where s.id = any(array(
      select x.id from taskrunner_private.limit_shape x
      where x.id = any(p_ids) and x.used_at < now() - interval '10 minutes' for no key update skip locked));
  end if;
end $$;
