-- The tasks in one status behind (p_before, p_before_seq), newest first, that pass the filters which are not null. The
-- status of a task is in no index; the tables that say where a task stands are gone through in order, and their tasks
-- looked up until the page is full. With p_walk only that many are tried.
-- Locks: none. Called by: list_tasks.
create or replace function taskrunner_private.tasks_by_status(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_timeout integer, p_metadata jsonb,
  p_before timestamptz, p_before_seq bigint, p_walk integer, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  -- The narrow row says everything, so that pages are skipped without looking at their tasks.
  v_narrow boolean := p_name is null and p_timeout is null and p_metadata is null;
begin
  case
    when p_status in ('Success', 'Failure', 'Canceled') then
      return array(
        select t.id
        from (
          select e.task_id, e.created_at, e.seq
          from taskrunner_private.ended_task e
          where e.status = p_status and (e.created_at, e.seq) < (p_before, p_before_seq)
            and (p_kind is null or strpos(e.kind, p_kind) > 0)
          order by e.created_at desc, e.seq desc
          offset case when v_narrow then p_skip else 0 end limit case when v_narrow then p_limit else p_walk end) walk
        cross join lateral (
          select t.id
          from taskrunner.task t
          where t.id = walk.task_id
            and taskrunner_private.task_fits(t, p_status, p_name, null, p_timeout, p_metadata)
          offset 0) t
        order by walk.created_at desc, walk.seq desc
        offset case when v_narrow then 0 else p_skip end limit p_limit);
    when p_status = 'Waiting' then
      return array(
        select t.id
        from (
          select q.task_id, q.created_at, q.seq
          from taskrunner_private.queued_task q
          where q.state = 'waiting' and (q.created_at, q.seq) < (p_before, p_before_seq)
            and (p_kind is null or strpos(q.kind, p_kind) > 0)
          order by q.created_at desc, q.seq desc
          offset case when v_narrow then p_skip else 0 end limit case when v_narrow then p_limit else p_walk end) walk
        cross join lateral (
          select t.id
          from taskrunner.task t
          where t.id = walk.task_id
            and taskrunner_private.task_fits(t, p_status, p_name, null, p_timeout, p_metadata)
          offset 0) t
        order by walk.created_at desc, walk.seq desc
        offset case when v_narrow then 0 else p_skip end limit p_limit);
    else
      return taskrunner_private.unsettled_tasks(
        p_status, p_name, p_kind, p_timeout, p_metadata, p_before, p_before_seq, p_walk, p_skip, p_limit);
  end case;
end $$;
