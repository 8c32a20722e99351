-- queued_task, active_task, ended_task and slot follow the status, and what rules look at: a queued task whose rules, metadata,
-- expected_count or run_at change is decided again, the slots of an active one move. Claims write their rows themselves
-- (claim_tasks); starting a task and its progress change none. Why a full join: task_500_propagate.sql.
-- Locks: for a claim by SQL those of admit_by_sql; rows of queued_task, the last thing anybody waits for;
-- rows of active_task and slot are covered by the task's lock.
-- SQLSTATE: TR008 (claimed by SQL while a rule holds it). Writes queued_task, active_task, ended_task, slot, wake, shape_request.
create or replace function taskrunner_private.task_queue_update() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_left_queue uuid[];
  v_entered_queue uuid[];
  v_moved_in_queue uuid[];
  v_held uuid[];
  v_reordered uuid[];
  v_ruled uuid[];
  v_regrouped uuid[];
  v_resized uuid[];
  v_probed bigint[];
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
    array_agg(c.id) filter (where c.new_in = 'queue' and c.old_in = 'queue' and c.moved and c.had_rules),
    array_agg(c.id) filter (where c.new_in = 'queue' and c.old_in = 'queue' and c.reordered and not c.moved),
    array_agg(c.id) filter (where c.new_in <> 'ended' and c.ruled),
    array_agg(c.id) filter (where c.new_in = 'active' and c.old_in = 'active' and c.regrouped),
    array_agg(c.id) filter (where c.new_in = 'active' and c.old_in = 'active' and c.resized),
    array_agg(c.id) filter (where c.old_in = 'active' and c.new_in <> 'active'),
    array_agg(c.id) filter (where c.new_in = 'active' and c.old_in <> 'active'),
    array_agg(c.id) filter (where c.new_in = 'active' and c.old_in = 'active' and c.due),
    array_agg(c.id) filter (where c.new_in = 'ended' and c.old_in <> 'ended')
  into v_left_queue, v_entered_queue, v_moved_in_queue, v_held, v_reordered, v_ruled, v_regrouped, v_resized,
    v_left_active, v_entered_active, v_due, v_ended
  from (
    select n.id,
      case when taskrunner_private.is_terminal(n.status) then 'ended'
        when taskrunner_private.is_active(n.status, n.paused_from) then 'active' else 'queue' end as new_in,
      case when taskrunner_private.is_terminal(o.status) then 'ended'
        when taskrunner_private.is_active(o.status, o.paused_from) then 'active' else 'queue' end as old_in,
      (n.status, n.run_at, n.rules) is distinct from (o.status, o.run_at, o.rules) or n.rules <> '[]'
        and (n.metadata, n.expected_count) is distinct from (o.metadata, o.expected_count) as moved,
      o.rules <> '[]' as had_rules,
      n.priority is distinct from o.priority as reordered,
      n.rules is distinct from o.rules as ruled,
      n.metadata is distinct from o.metadata as regrouped,
      n.expected_count is distinct from o.expected_count as resized,
      (n.status, n.timeout) is distinct from (o.status, o.timeout) or n.last_updated < o.last_updated as due
    from new_rows n
    full join old_rows o on o.id = n.id
    where (n.status, n.priority, n.run_at, n.timeout, n.paused_from, n.rules, n.expected_count)
      is distinct from (o.status, o.priority, o.run_at, o.timeout, o.paused_from, o.rules, o.expected_count)
      or not taskrunner_private.is_terminal(n.status) and n.metadata is distinct from o.metadata
      or coalesce(n.last_updated < o.last_updated, true)
  ) c;

  -- Slots that are left first, so that whatever the same statement starts may have them.
  if v_left_active is not null then
    delete from taskrunner_private.active_task where task_id = any(v_left_active);
    perform taskrunner_private.free_slots(v_left_active);
  end if;
  if v_regrouped is not null then
    perform taskrunner_private.move_slots(v_regrouped);
  end if;
  if v_entered_active is not null then
    -- Claimed by SQL. Before any row of the queue is locked, because it may wait for stripes.
    perform taskrunner_private.admit_by_sql(v_entered_active);
  end if;
  if v_left_queue is not null then
    with gone as (
      delete from taskrunner_private.queued_task where task_id = any(v_left_queue) returning limit_id
    )
    select array_agg(limit_id) filter (where limit_id is not null) into v_probed from gone;
    if v_probed is not null then
      -- Probes that will not be decided: their limits go on to the next.
      perform taskrunner_private.wake_later(v_probed);
    end if;
  end if;
  if v_ended is not null then
    insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
    select t.id, t.seq, t.created_at, t.ended_at, t.status, t.kind
    from taskrunner.task t
    where t.id = any(v_ended);
  end if;
  if v_moved_in_queue is not null then
    perform taskrunner_private.requeue(v_moved_in_queue, v_held);
  end if;
  if v_reordered is not null then
    -- A parked task that rises is decided again, since its gate may know of none so good. A probe stays one, also if it became one
    -- while its row was waited for.
    update taskrunner_private.queued_task q
    set priority = t.priority,
      state = case when q.state = 'parked' and t.priority > q.priority then 'ready' else q.state end,
      gate_id = case when q.state = 'parked' and t.priority > q.priority then null else q.gate_id end
    from taskrunner.task t
    where t.id = any(v_reordered) and q.task_id = t.id;
  end if;
  if v_entered_queue is not null then
    insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind, host, has_rules)
    select t.id, t.seq, t.created_at, t.run_at, t.priority, taskrunner_private.queue_state(t.status, t.run_at), t.kind,
      taskrunner_private.url_host(a.params ->> 'url'), t.rules <> '[]'
    from taskrunner.task t
    left join lateral (
      select x.params from taskrunner.action x
      where x.task_id = t.id and (case when x.trigger = 'Start' then true end) offset 0) a on true
    where t.id = any(v_entered_queue);
  end if;
  if v_entered_active is not null then
    -- Due at once: the sweep knows the claim timeout and sets the moment.
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
  if v_resized is not null then
    perform taskrunner_private.wake_later(array(
      select s.limit_id from taskrunner_private.slot s where s.task_id = any(v_resized)));
  end if;
  if v_ruled is not null then
    perform taskrunner_private.request_shapes(v_ruled, true);
  end if;
  return null;
end $$;

create or replace trigger task_600_queue_update after update on taskrunner.task
referencing new table as new_rows old table as old_rows
for each statement when (not taskrunner_private.is_progress())
execute function taskrunner_private.task_queue_update();
