-- Pending tasks that cannot start, by what keeps them (contract 11, tasks_parked): a rule; their run_at, the pauses before another
-- try and before another attempt included; their webhook host, which is at its share of the slots or whose circuit is open.
-- What a claim has put off counts as the host's if that is held now, else as a rule's.
-- Locks: none. Reads the index entries of all of them.
create or replace function taskrunner_private.count_parked(out by_rule bigint, out by_run_at bigint, out by_host bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_hosts text[] := array(select h.host from taskrunner_private.held_hosts() h);
begin
  select count(*) into by_rule from taskrunner_private.queued_task q where q.state = 'parked';
  select count(*) filter (where q.put_off = 0), count(*) filter (where q.put_off > 0 and q.host = any(v_hosts)),
    by_rule + count(*) filter (where q.put_off > 0 and (q.host = any(v_hosts)) is not true)
  into by_run_at, by_host, by_rule
  from taskrunner_private.queued_task q
  where q.state = 'scheduled';
  select by_host + coalesce(sum(w.waiting), 0) into by_host
  from unnest(v_hosts) h (host)
  cross join lateral (
    select count(*) as waiting
    from taskrunner_private.queued_task q
    where q.state = 'ready' and not q.has_rules and q.host = h.host offset 0) w;
end $$;
