-- queued_task, active_task and ended_task follow the status. Claims write their rows themselves (claim_tasks); starting
-- a task and its progress change none. Why a full join: task_500_propagate.sql.
-- Locks: rows of queued_task, the last thing anybody waits for; rows of active_task are covered by the task's lock.
-- Writes queued_task, active_task, ended_task.
create or replace function taskrunner_private.task_queue_update() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_left_queue uuid[];
  v_entered_queue uuid[];
  v_moved_in_queue uuid[];
  v_left_active uuid[];
  v_entered_active uuid[];
  v_due uuid[];
  v_ended uuid[];
begin
  if coalesce(current_setting('taskrunner.cause', true), '') in ('claim', 'start', 'rerank') then
    return null;
  end if;
  select
    array_agg(c.id) filter (where c.old_in = 'queue' and c.new_in <> 'queue'),
    array_agg(c.id) filter (where c.new_in = 'queue' and c.old_in <> 'queue'),
    array_agg(c.id) filter (where c.new_in = 'queue' and c.old_in = 'queue' and c.moved),
    array_agg(c.id) filter (where c.old_in = 'active' and c.new_in <> 'active'),
    array_agg(c.id) filter (where c.new_in = 'active' and c.old_in <> 'active'),
    array_agg(c.id) filter (where c.new_in = 'active' and c.old_in = 'active' and c.due),
    array_agg(c.id) filter (where c.new_in = 'ended' and c.old_in <> 'ended')
  into v_left_queue, v_entered_queue, v_moved_in_queue, v_left_active, v_entered_active, v_due, v_ended
  from (
    select n.id,
      case when taskrunner_private.is_terminal(n.status) then 'ended'
        when taskrunner_private.is_active(n.status, n.paused_from) then 'active' else 'queue' end as new_in,
      case when taskrunner_private.is_terminal(o.status) then 'ended'
        when taskrunner_private.is_active(o.status, o.paused_from) then 'active' else 'queue' end as old_in,
      (n.status, n.priority, n.run_at) is distinct from (o.status, o.priority, o.run_at) as moved,
      (n.status, n.timeout) is distinct from (o.status, o.timeout) or n.last_updated < o.last_updated as due
    from new_rows n
    full join old_rows o on o.id = n.id
    where (n.status, n.priority, n.run_at, n.timeout, n.paused_from)
      is distinct from (o.status, o.priority, o.run_at, o.timeout, o.paused_from)
      or coalesce(n.last_updated < o.last_updated, true)
  ) c;

  if v_left_queue is not null then
    delete from taskrunner_private.queued_task where task_id = any(v_left_queue);
  end if;
  if v_left_active is not null then
    delete from taskrunner_private.active_task where task_id = any(v_left_active);
  end if;
  if v_ended is not null then
    insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
    select t.id, t.seq, t.created_at, t.ended_at, t.status, t.kind
    from taskrunner.task t
    where t.id = any(v_ended);
  end if;
  if v_moved_in_queue is not null then
    update taskrunner_private.queued_task q
    set state = taskrunner_private.queue_state(t.status, t.run_at), priority = t.priority, run_at = t.run_at
    from taskrunner.task t
    where t.id = any(v_moved_in_queue) and q.task_id = t.id;
  end if;
  if v_entered_queue is not null then
    insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind, host)
    select t.id, t.seq, t.created_at, t.run_at, t.priority, taskrunner_private.queue_state(t.status, t.run_at), t.kind,
      taskrunner_private.url_host(a.params ->> 'url')
    from taskrunner.task t
    left join lateral (
      select x.params from taskrunner.action x
      where x.task_id = t.id and (case when x.trigger = 'Start' then true end) offset 0) a on true
    where t.id = any(v_entered_queue);
  end if;
  if v_entered_active is not null then
    -- Claimed by SQL. Due at once: the sweep knows the claim timeout and sets the moment.
    insert into taskrunner_private.active_task (task_id, seq, created_at, claimed_at, due_at, kind)
    select t.id, t.seq, t.created_at, clock_timestamp(), clock_timestamp(), t.kind
    from taskrunner.task t
    where t.id = any(v_entered_active);
  end if;
  if v_due is not null then
    -- Resumed, paused, given another timeout, or its last sign of life set back. A paused Running task never times out; a paused claim can go stale.
    update taskrunner_private.active_task a
    set due_at = case
      when t.paused_from = 'Running' then 'infinity'
      when t.status = 'Running' then least(a.due_at, t.last_updated + make_interval(secs => t.timeout))
      else least(a.due_at, clock_timestamp()) end
    from taskrunner.task t
    where t.id = any(v_due) and a.task_id = t.id;
  end if;
  return null;
end $$;

create or replace trigger task_600_queue_update after update on taskrunner.task
referencing new table as new_rows old table as old_rows
for each statement when (
  current_setting('taskrunner.cause', true) is distinct from 'progress' or not has_schema_privilege('taskrunner', 'CREATE')
)
execute function taskrunner_private.task_queue_update();
