-- Cancels every task of a batch that has not ended, in one step (contract 6.4): no on_failure, no propagation inside
-- the batch, since all of it ends in the same statement; children in other batches see a canceled parent.
-- Locks: graph lock shared, rows of task by rank (lock_affected). SQLSTATEs: TR002 (unknown batch), TR009, 40001.
-- Writes task (status, failure_reason, ended_at, last_updated, paused_from).
create or replace function taskrunner.stop_batch(p_batch_id uuid) returns table (
  batch_id uuid, canceled_waiting bigint, canceled_pending bigint, canceled_claimed bigint, canceled_running bigint,
  canceled_paused bigint, already_terminal bigint
)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_live uuid[];
begin
  if not exists (select from taskrunner.batch b where b.id = p_batch_id) then
    raise exception 'batch %: unknown batch', coalesce(p_batch_id::text, 'null') using errcode = 'TR002';
  end if;
  v_live := array(
    select t.id from taskrunner.task t
    where t.batch_id = p_batch_id and not taskrunner_private.is_terminal(t.status));
  perform taskrunner_private.lock_affected(v_live, v_live, v_live, true);

  -- Under the locks. What ended while this waited counts as ended before.
  return query
  select p_batch_id,
    count(*) filter (where t.status = 'Waiting'),
    count(*) filter (where t.status = 'Pending'),
    count(*) filter (where t.status = 'Claimed'),
    count(*) filter (where t.status = 'Running'),
    count(*) filter (where t.status = 'Paused'),
    (select count(*) from taskrunner.task e
     where e.batch_id = p_batch_id and taskrunner_private.is_terminal(e.status))
  from unnest(v_live) as live (id)
  join taskrunner.task t on t.id = live.id;

  perform taskrunner_private.set_cause('stop');
  update taskrunner.task t
  set status = 'Canceled', failure_reason = 'Batch stopped', ended_at = greatest(now(), t.started_at), last_updated = now(),
    paused_from = null
  where t.id = any(v_live) and not taskrunner_private.is_terminal(t.status);
  perform taskrunner_private.set_cause('');
end $$;
