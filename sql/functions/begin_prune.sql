-- Whose turn is it to remove what is old? 0: the caller's, and nobody else's for p_interval_secs. Otherwise the seconds until it is
-- to ask again. A turn that lies further ahead than the interval was set for a longer one, and does not count.
-- Locks: the row of chore. Writes chore. Called by: every replica with retention.
create or replace function taskrunner_private.begin_prune(p_interval_secs integer) returns double precision
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_interval interval := make_interval(secs => p_interval_secs);
begin
  update taskrunner_private.chore c
  set next_at = v_now + v_interval
  where c.name = 'prune' and (c.next_at <= v_now or c.next_at > v_now + v_interval);
  if found then
    return 0;
  end if;
  return (select extract(epoch from c.next_at - v_now) from taskrunner_private.chore c where c.name = 'prune');
end $$;
