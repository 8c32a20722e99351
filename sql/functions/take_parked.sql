-- Makes the best of these parked tasks ready, as probes, as many as each limit has room for. One whose row somebody holds is passed over
-- for the next best.
-- p_*: see best_parked; p_limits have the n-th task's limit. Returns the limits of those that became ready, and those (held) of which
-- somebody held a row: he may give it back.
-- Locks: rows of queued_task, skip locked, without their tasks: the caller waits for nothing afterwards. Writes queued_task.
-- Called by: unpark.
create or replace function taskrunner_private.take_parked(
  p_ids uuid[], p_limits bigint[], p_at_most bigint[], p_priorities integer[], p_seqs bigint[], out taken_of bigint[], out held bigint[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_taken uuid[];
begin
  with tried as materialized (
    select u.*, q.task_id is not null as got
    from unnest(p_ids, p_limits, p_at_most, p_priorities, p_seqs) u (id, limit_id, at_most, priority, seq)
    left join lateral (
      select x.task_id from taskrunner_private.queued_task x
      where x.task_id = u.id and x.state::text = 'parked' for update skip locked) q on true
  )
  select coalesce(array_agg(o.id) filter (where o.got and o.ahead < o.at_most), '{}'),
    coalesce(array_agg(o.limit_id) filter (where o.got and o.ahead < o.at_most), '{}'),
    coalesce(array_agg(distinct o.limit_id) filter (where not o.got), '{}')
  into v_taken, taken_of, held
  from (
    select t.*, count(*) filter (where t.got) over (partition by t.limit_id order by t.priority desc, t.seq
        rows between unbounded preceding and 1 preceding) as ahead
    from tried t) o;
  update taskrunner_private.queued_task q
  set state = 'ready', limit_id = u.limit_id
  from unnest(v_taken, taken_of) u (task_id, limit_id)
  where q.task_id = u.task_id;
end $$;
