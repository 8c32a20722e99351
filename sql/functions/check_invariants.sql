-- Rows that break a rule which the engine keeps; empty when healthy. STABLE on purpose: all its statements see one
-- snapshot, so a live system shows no phantoms. It reads everything: minutes on a large database.
-- Locks: none.
create or replace function taskrunner.check_invariants() returns table (invariant text, detail jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select 'wait counters equal the unended parents', jsonb_build_object('task_id', t.id, 'status', t.status,
    'wait_finished', t.wait_finished, 'unended', coalesce(p.unended, 0),
    'wait_success', t.wait_success, 'required_unended', coalesce(p.required_unended, 0))
  from taskrunner.task t
  left join (
    select l.child_id, count(*) as unended, count(*) filter (where l.requires_success) as required_unended
    from taskrunner.link l
    join taskrunner.task parent on parent.id = l.parent_id
    where not taskrunner_private.is_terminal(parent.status)
    group by l.child_id
  ) p on p.child_id = t.id
  where not taskrunner_private.is_terminal(t.status)
    and (t.wait_finished, t.wait_success) is distinct from (coalesce(p.unended, 0), coalesce(p.required_unended, 0));

  return query
  select 'a waiting task has no failed required parent', jsonb_build_object('task_id', t.id, 'parent_id', p.id)
  from taskrunner.task t
  join taskrunner.link l on l.child_id = t.id and l.requires_success
  join taskrunner.task p on p.id = l.parent_id and p.status in ('Failure', 'Canceled')
  where not taskrunner_private.is_terminal(t.status);

  return query
  select 'fields are within their limits', jsonb_build_object('task_id', t.id)
  from taskrunner.task t
  where not (char_length(t.name) between 1 and 255 and char_length(t.kind) between 1 and 100
    and t.timeout between 1 and 86400 and t.priority between -1000 and 1000 and t.attempt between 1 and t.max_attempts
    and t.max_attempts <= 100 and least(t.success, t.failures, t.expected_count) >= 0 and jsonb_typeof(t.rules) = 'array'
    and t.retry_initial_delay_secs between 0 and 86400 and t.retry_multiplier between 1 and 100
    and t.retry_max_delay_secs between t.retry_initial_delay_secs and 86400);

  return query
  select 'every link has its tasks and rises in rank', jsonb_build_object('parent_id', l.parent_id, 'child_id', l.child_id)
  from taskrunner.link l
  left join taskrunner.task p on p.id = l.parent_id
  left join taskrunner.task c on c.id = l.child_id
  where (p.rank < c.rank) is not true;

  return query
  select 'a queued task has its row in queued_task', jsonb_build_object('task_id', coalesce(t.id, q.task_id),
    'status', t.status, 'state', q.state)
  from (
    select * from taskrunner.task
    where not taskrunner_private.is_terminal(status) and not taskrunner_private.is_active(status, paused_from)
  ) t
  full join taskrunner_private.queued_task q on q.task_id = t.id
  where t.id is null or q.task_id is null
    or (q.kind, q.priority, q.seq, q.created_at) is distinct from (t.kind, t.priority, t.seq, t.created_at)
    or not case t.status when 'Waiting' then q.state = 'waiting' when 'Paused' then q.state = 'paused'
         else q.state in ('ready', 'scheduled', 'parked') end
    or (q.state in ('ready', 'parked') and t.run_at > clock_timestamp())
    or (q.state = 'scheduled' and q.put_off = 0 and q.run_at is distinct from t.run_at)
    or q.has_rules <> (t.rules <> '[]') or (q.state = 'parked' and not q.has_rules);

  return query
  select 'an active task has its slots, and nobody else has any', jsonb_build_object('task_id', coalesce(t.task_id, s.task_id),
    'limit_id', coalesce(t.limit_id, s.limit_id), 'slot', s.task_id is not null)
  from taskrunner_private.task_slots(array(
    select x.id from taskrunner.task x where taskrunner_private.is_active(x.status, x.paused_from))) t
  full join taskrunner_private.slot s on s.limit_id = t.limit_id and s.task_id = t.task_id
  where t.task_id is null or s.task_id is null;

  return query
  select 'a parked task has its gate, which knows of one as good', jsonb_build_object('task_id', q.task_id, 'gate_id', q.gate_id)
  from taskrunner_private.queued_task q
  left join taskrunner_private.gate g on g.id = q.gate_id
  where q.gate_id is not null
    and (g.id is null or q.state = 'parked' and (q.priority, -q.seq) > (g.best_priority, -g.best_seq));

  return query
  select 'the shapes of a gate are counted', to_jsonb(g)
  from taskrunner_private.gate g
  where exists (
    select from unnest(g.shape_ids) s (id)
    where not exists (select from taskrunner_private.limit_shape x where x.id = s.id));

  -- Room in a Capacity limit made by progress is found by a chore.
  return query
  select 'a gate that would let pass has a probe or is about to be woken', to_jsonb(g)
  from taskrunner_private.passable_gates(true) g
  where not g.is_capacity;

  return query
  select 'an active task has its row in active_task', jsonb_build_object('task_id', coalesce(t.id, a.task_id),
    'status', t.status)
  from (select * from taskrunner.task where taskrunner_private.is_active(status, paused_from)) t
  full join taskrunner_private.active_task a on a.task_id = t.id
  where t.id is null or a.task_id is null
    or (a.kind, a.seq, a.created_at) is distinct from (t.kind, t.seq, t.created_at);

  return query
  select 'an ended task has its row in ended_task', jsonb_build_object('task_id', coalesce(t.id, e.task_id),
    'status', t.status)
  from (select * from taskrunner.task where taskrunner_private.is_terminal(status)) t
  full join taskrunner_private.ended_task e on e.task_id = t.id
  where t.id is null or e.task_id is null
    or (e.status, e.kind, e.seq, e.created_at, e.ended_at)
      is distinct from (t.status, t.kind, t.seq, t.created_at, t.ended_at);

  -- As far as it can be read off a state: what failed may have failed with a batch that was stopped, and a barrier that was
  -- canceled as a dead end says nothing.
  return query
  select 'a dead end is to be examined', jsonb_build_object('task_id', t.id, 'status', t.status)
  from taskrunner.task t
  join taskrunner.batch b on b.id = t.batch_id and b.dead_end_cancel
  where not taskrunner_private.is_terminal(t.status)
    and exists (select from taskrunner.link l where l.parent_id = t.id)
    and not exists (
      select from taskrunner.link l
      join taskrunner.task c on c.id = l.child_id
      where l.parent_id = t.id and (
        c.status <> 'Canceled' or c.batch_id is distinct from t.batch_id or c.failure_reason = 'Batch stopped'
        or c.dead_end_barrier and c.failure_reason = 'All child tasks already terminated'))
    and not exists (select from taskrunner_private.dead_end_check d where d.task_id = t.id);

  return query
  select 'an open delivery of an ended or cancelled event is due, and nothing else is', jsonb_build_object(
    'delivery_id', coalesce(d.id, q.delivery_id), 'status', d.status)
  from (select * from taskrunner_private.delivery where trigger <> 'Start' and status = 'Pending') d
  full join taskrunner_private.due_delivery q on q.delivery_id = d.id
  where d.id is null or q.delivery_id is null;

  return query
  select 'a delivery in trouble has its row in troubled_delivery, and nothing else has', jsonb_build_object(
    'delivery_id', coalesce(d.id, f.delivery_id), 'status', d.status)
  from (
    select * from taskrunner_private.delivery where status = 'Failed' or trigger = 'Start' and status = 'Pending'
  ) d
  full join taskrunner_private.troubled_delivery f on f.delivery_id = d.id and f.created_at = d.created_at
  where d.id is null or f.delivery_id is null;

  return query
  select 'an open Start delivery is that of the present attempt of a task that has not ended', jsonb_build_object(
    'task_id', t.id, 'delivery_id', d.id, 'attempt', t.attempt, 'delivery_attempt', d.task_attempt)
  from taskrunner_private.delivery d
  join taskrunner.task t on t.id = d.task_id
  where d.trigger = 'Start' and d.status = 'Pending'
    and (taskrunner_private.is_terminal(t.status) or d.task_attempt <> t.attempt);

  return query
  select 'a delivery belongs to a task', jsonb_build_object('delivery_id', d.id, 'task_id', d.task_id)
  from taskrunner_private.delivery d
  where not exists (select from taskrunner.task t where t.id = d.task_id);
end $$;
