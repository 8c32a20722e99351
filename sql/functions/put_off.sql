-- Sends candidates that a claim could not decide about away for a while, 200 ms and each time longer, up to p_longest_secs, so that
-- they do not stand at the head of the queue. A probe among them is given up: its limit is looked at again.
-- Locks: rows of queued_task; the caller holds their tasks. Writes queued_task, wake. Called by: decide_candidates.
create or replace function taskrunner_private.put_off(p_ids uuid[], p_longest_secs integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  perform taskrunner_private.wake_later(array(
    select q.limit_id from taskrunner_private.queued_task q where q.task_id = any(p_ids) and q.limit_id is not null));
  update taskrunner_private.queued_task q
  set state = 'scheduled', gate_id = null, limit_id = null, put_off = least(q.put_off + 1, 10),
    run_at = clock_timestamp() + least(0.1 * 2 ^ least(q.put_off + 1, 10), p_longest_secs) * interval '1 second'
  where q.task_id = any(p_ids) and q.state::text = 'ready';
end $$;
