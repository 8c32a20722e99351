-- Gives gates the bounds that their tasks have now (unpark). A task that somebody is about to take away counts still: he may give it back.
-- Locks: rows of gate; the caller holds the stripe of the limit that they wait for, so nobody else writes them. Writes gate.
-- Called by: unpark.
create or replace function taskrunner_private.mend_gates(p_ids bigint[]) returns void
language sql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  update taskrunner_private.gate g
  set best_priority = b.priority, best_seq = b.seq
  from (
    select x.id, coalesce(h.priority, -2147483648) as priority, coalesce(h.seq, 9223372036854775807) as seq
    from unnest(p_ids) x (id)
    left join lateral (
      select q.priority, q.seq from taskrunner_private.queued_task q
      where q.gate_id = x.id and q.state::text = 'parked'
      order by q.priority desc, q.seq limit 1) h on true
    offset 0) b
  where g.id = b.id and (g.best_priority, g.best_seq) is distinct from (b.priority, b.seq);
$$;
