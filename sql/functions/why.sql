-- What keeps a task from running, a sentence for people in each row, the lasting reasons first; nothing when it runs or its
-- turn is about to come. detail has the same for programs. Of more than 100 unmet parents the others are counted. STABLE on
-- purpose: all its statements see one snapshot.
-- Locks: none. SQLSTATE: TR002.
create or replace function taskrunner.why(p_task_id uuid) returns table (reason text, detail jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_task taskrunner.task;
  v_moment text;
  v_parents bigint;
  v_replicas bigint;
  v_free bigint;
  v_heard timestamptz;
  v_start taskrunner_private.delivery;  -- on_start of this attempt, once it was tried
begin
  select t.* into v_task from taskrunner.task t where t.id = p_task_id;
  if v_task.id is null then
    raise exception 'task %: unknown task', coalesce(p_task_id::text, 'null') using errcode = 'TR002';
  end if;

  if taskrunner_private.is_terminal(v_task.status) then
    return query select format('It has ended as %s%s, and never runs again.', v_task.status,
        coalesce(' (' || nullif(v_task.failure_reason, v_task.status::text) || ')', '')),
      jsonb_build_object('status', v_task.status, 'ended_at', v_task.ended_at, 'failure_reason', v_task.failure_reason);
    return;
  end if;
  if v_task.status = 'Paused' then
    return query select 'Somebody has paused it: it goes on when it is resumed.',
      jsonb_build_object('status', v_task.status, 'paused_from', v_task.paused_from);
  end if;
  if v_task.status = 'Claimed' then
    return query
    select case when a.replica_id is null then 'A worker in SQL has claimed it and has not started it yet.'
        else 'Its on_start is being called, and has not been answered yet.' end,
      jsonb_build_object('status', v_task.status, 'claimed_at', a.claimed_at, 'replica_id', a.replica_id)
    from taskrunner_private.active_task a
    where a.task_id = p_task_id;
  end if;
  if taskrunner_private.is_active(v_task.status, v_task.paused_from) then
    return;
  end if;

  return query
  select format('It waits for task %s "%s", which is %s%s.', p.id, p.name, p.status,
      case when p.requires_success then ' and has to succeed' else '' end),
    jsonb_build_object('parent_id', p.id, 'name', p.name, 'status', p.status, 'requires_success', p.requires_success)
  from (
    select t.id, t.name, t.status, l.requires_success
    from taskrunner.link l
    cross join lateral (select x.* from taskrunner.task x where x.id = l.parent_id offset 0) t
    where l.child_id = p_task_id and not taskrunner_private.is_terminal(t.status)
    order by t.seq
    limit 100) p;
  v_parents := v_task.wait_finished - 100;
  if v_parents > 0 then
    return query select format('It waits for %s more tasks.', v_parents), jsonb_build_object('more_parents', v_parents);
  end if;

  if v_task.rules <> '[]' then
    return query select r.reason, r.detail from taskrunner_private.rules_in_the_way(p_task_id) r;
  end if;

  if v_task.run_at > clock_timestamp() then
    select d.* into v_start from taskrunner_private.delivery d
    where v_task.contacted and d.task_id = p_task_id and d.trigger = 'Start' and d.task_attempt = v_task.attempt;
    v_moment := case when isfinite(v_task.run_at)
      then to_char(v_task.run_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') else v_task.run_at::text end;
    return query select case
        when v_task.contacted then format('Its on_start failed%s; the next try is not made before %s.',
          ' (' || v_start.last_error || ', try ' || v_start.tries || ' of ' || v_start.max_tries || ')', v_moment)
        when v_task.attempt > 1 then format('Attempt %s failed%s; attempt %s of %s does not start before %s.', v_task.attempt - 1,
          coalesce(' (' || v_task.failure_reason || ')', ''), v_task.attempt, v_task.max_attempts, v_moment)
        else format('It is not to start before %s.', v_moment) end,
      jsonb_build_object('run_at', v_task.run_at, 'attempt', v_task.attempt, 'max_attempts', v_task.max_attempts)
        || case when v_start.tries > 0 then jsonb_build_object('error', v_start.last_error, 'tries', v_start.tries,
          'max_tries', v_start.max_tries) else '{}' end;
  end if;

  if v_task.status = 'Pending' then
    return query
    select case when h.opens_at is null then format('Its webhook host %s is at its share of the webhook slots.', h.host)
        else format('The circuit of its webhook host %s is open until %s: its last calls failed (%s).', h.host,
          to_char(h.opens_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), h.error) end,
      jsonb_build_object('host', h.host, 'opens_at', h.opens_at, 'error', h.error)
    from taskrunner_private.held_hosts() h
    join taskrunner_private.queued_task q on q.task_id = p_task_id and q.host = h.host;
  end if;

  select count(*) filter (where r.heartbeat_at > clock_timestamp() - interval '5 seconds'),
    sum(r.free_slots) filter (where r.heartbeat_at > clock_timestamp() - interval '5 seconds'),
    max(r.heartbeat_at) filter (where isfinite(r.heartbeat_at))
  into v_replicas, v_free, v_heard
  from taskrunner_private.replica r;
  if v_replicas = 0 then
    return query select 'No replica is alive, so nobody starts tasks.', jsonb_build_object('replicas', 0, 'last_heartbeat', v_heard);
  elsif v_free = 0 and v_task.status = 'Pending' then
    return query select format('All webhook slots are busy (%s).', case v_replicas when 1 then 'one replica'
        else v_replicas || ' replicas' end), jsonb_build_object('replicas', v_replicas, 'free_slots', 0);
  end if;
end $$;
