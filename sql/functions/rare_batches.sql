-- As walk_batches, for what few tasks match: the batches of at most p_near tasks that were created within the interval, or
-- of at most p_rare tasks in the status, which lie further apart. Null when there are more of both.
-- Locks: none. Called by: matching_batches.
create or replace function taskrunner_private.rare_batches(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_since timestamptz, p_until timestamptz,
  p_before timestamptz, p_before_seq bigint, p_rare integer, p_near integer, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_tasks uuid[];
  v_batches uuid[];
begin
  if (isfinite(p_since) or isfinite(p_until)) and not exists (
    select from taskrunner.task t where t.created_at between p_since and p_until
    order by t.created_at, t.seq offset p_near limit 1)
  then
    v_batches := array(
      select distinct t.batch_id
      from taskrunner.task t
      where t.created_at between p_since and p_until and t.batch_id is not null
        and taskrunner_private.task_fits(t, p_status, p_name, p_kind, null, null));
  elsif p_status is not null then
    -- What can be in this status, by the tables that say where a task stands; the tasks themselves decide.
    v_tasks := array(
      select e.task_id
      from taskrunner_private.ended_task e
      where e.status = p_status and (p_kind is null or strpos(e.kind, p_kind) > 0)
      union all
      select q.task_id
      from taskrunner_private.queued_task q
      where q.state = any(case p_status when 'Waiting' then array['waiting'::taskrunner_private.queue_state]
          when 'Pending' then array['scheduled'::taskrunner_private.queue_state, 'parked']
          when 'Paused' then array['paused'::taskrunner_private.queue_state] end)
        and q.state <> 'ready' and (p_kind is null or strpos(q.kind, p_kind) > 0)
      union all
      select q.task_id
      from taskrunner_private.queued_task q
      where p_status = 'Pending' and q.state = 'ready' and not q.has_rules and (p_kind is null or strpos(q.kind, p_kind) > 0)
      union all
      select q.task_id
      from taskrunner_private.queued_task q
      where p_status = 'Pending' and q.state = 'ready' and q.has_rules and (p_kind is null or strpos(q.kind, p_kind) > 0)
      union all
      select a.task_id
      from taskrunner_private.active_task a
      where p_status in ('Claimed', 'Running', 'Paused') and (p_kind is null or strpos(a.kind, p_kind) > 0)
      limit p_rare + 1);
    if cardinality(v_tasks) > p_rare then
      return null;
    end if;
    v_batches := array(
      select distinct t.batch_id
      from unnest(v_tasks) as rare (id)
      -- By id alone: a plan made while the table was empty may take the index of the interval, and read all of it for each.
      cross join lateral (
        select x.batch_id, x.created_at
        from taskrunner.task x
        where x.id = rare.id and taskrunner_private.task_fits(x, p_status, p_name, p_kind, null, null)
        offset 0) t
      where t.created_at between p_since and p_until and t.batch_id is not null);
  else
    return null;
  end if;
  return array(
    select b.id
    from unnest(v_batches) as found (id)
    cross join lateral (
      select b.id, b.created_at, b.seq
      from taskrunner.batch b
      where b.id = found.id and (b.created_at, b.seq) < (p_before, p_before_seq)
      offset 0) b
    order by b.created_at desc, b.seq desc
    offset p_skip limit p_limit);
end $$;
