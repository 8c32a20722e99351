-- The tasks of a kind that may have a status, of those that have not ended, in no order. What stands in active_task is Claimed,
-- Running or Paused; that is for the caller to tell apart. Inlined where it is used.
-- Locks: none. Called by: duplicate_of.
create or replace function taskrunner_private.live_tasks(p_kind text, p_status taskrunner.status_kind)
returns table (task_id uuid, seq bigint)
language sql stable as $$
  select q.task_id, q.seq from taskrunner_private.queued_task q
  where q.kind = p_kind and p_status in ('Waiting', 'Pending', 'Paused')
    and (q.state = 'waiting') = (p_status = 'Waiting') and (q.state = 'paused') = (p_status = 'Paused')
  union all
  select a.task_id, a.seq from taskrunner_private.active_task a
  where a.kind = p_kind and p_status in ('Paused', 'Claimed', 'Running');
$$;
