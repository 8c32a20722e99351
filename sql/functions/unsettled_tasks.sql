-- As tasks_by_status, for the statuses whose tasks no single index has in order: Pending and Paused tasks stand in several
-- states or tables, and what is ready or active is sorted each time.
-- The plan is made for each call: it knows the status, and with it what is needed. Each part has an order of its own, so
-- that they are merged instead of sorted together.
-- Locks: none. Called by: tasks_by_status.
create or replace function taskrunner_private.unsettled_tasks(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_timeout integer, p_metadata jsonb,
  p_before timestamptz, p_before_seq bigint, p_walk integer, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan set enable_seqscan = on set enable_sort = on set enable_bitmapscan = off
set max_parallel_workers_per_gather = 0 set jit = off as $$
declare
  v_narrow boolean := p_name is null and p_timeout is null and p_metadata is null and p_status = 'Pending';
begin
  return array(
    select t.id
    from (
      select s.task_id, s.created_at, s.seq
      from (
        (select q.task_id, q.created_at, q.seq, q.kind
        from taskrunner_private.queued_task q
        where p_status = 'Pending' and q.state = 'ready' and not q.has_rules
        order by q.created_at desc, q.seq desc)
        union all
        (select q.task_id, q.created_at, q.seq, q.kind
        from taskrunner_private.queued_task q
        where p_status = 'Pending' and q.state = 'ready' and q.has_rules
        order by q.created_at desc, q.seq desc)
        union all
        (select q.task_id, q.created_at, q.seq, q.kind
        from taskrunner_private.queued_task q
        where p_status = 'Pending' and q.state = 'scheduled'
        order by q.created_at desc, q.seq desc)
        union all
        (select q.task_id, q.created_at, q.seq, q.kind
        from taskrunner_private.queued_task q
        where p_status = 'Pending' and q.state = 'parked'
        order by q.created_at desc, q.seq desc)
        union all
        (select q.task_id, q.created_at, q.seq, q.kind
        from taskrunner_private.queued_task q
        where p_status = 'Paused' and q.state = 'paused'
        order by q.created_at desc, q.seq desc)
        union all
        (select a.task_id, a.created_at, a.seq, a.kind
        from taskrunner_private.active_task a
        where p_status in ('Claimed', 'Running', 'Paused')
        order by a.created_at desc, a.seq desc)
      ) s
      where (s.created_at, s.seq) < (p_before, p_before_seq) and (p_kind is null or strpos(s.kind, p_kind) > 0)
      order by s.created_at desc, s.seq desc
      offset case when v_narrow then p_skip else 0 end limit case when v_narrow then p_limit else p_walk end) walk
    cross join lateral (
      select t.id
      from taskrunner.task t
      where t.id = walk.task_id
        and taskrunner_private.task_fits(t, p_status, p_name, null, p_timeout, p_metadata)
      offset 0) t
    order by walk.created_at desc, walk.seq desc
    offset case when v_narrow then 0 else p_skip end limit p_limit);
end $$;
