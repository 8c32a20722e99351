-- (3) Claims up to p_limit ready tasks for a replica, by priority and insertion order: Pending -> Claimed. A task that
-- has no Start action, or whose on_start of this attempt is already delivered, goes on to Running without a call;
-- its params come back as null.
-- What a limit holds is parked, and what cannot be decided now is put off (decide_candidates). again: some were, so there may be
-- more to claim; if nothing was claimed, a row with nothing else says it.
-- p_mark_*: per priority, the seq up to which this replica has consumed the queue (claim_candidates.sql). p_rescan: if
-- that gives too few, read from the start as well. What is left ready then, since somebody has locked it, counts as held.
-- p_hosts, p_rooms, p_other_room: how many tasks each of these webhook hosts may get, and each other one (null: all). The rest is
-- left out; room -1 says that this may last, so tasks with rules are put off. p_look: others are looked up by host instead,
-- behind p_after; passed is where the next look goes on. by_host: found so, which says nothing about marks. held: some were left out.
-- traceparent: the trace that on_start belongs to, null without one.
-- claimed_at is the claim: fail_starts compares it, so that a claim that went stale cannot settle its successor.
-- Locks: advisory (1414681424, replica) shared, for give_back_claims; rows of task, skip locked; those of decide_candidates; rows of
-- queued_task. Writes task (status, contacted, last_updated, started_at), queued_task, active_task, slot, gate, wake, shape_request.
create or replace function taskrunner_private.claim_tasks(
  p_replica uuid, p_limit integer, p_claim_timeout_secs integer,
  p_mark_priorities integer[], p_mark_seqs bigint[], p_rescan boolean, p_hosts text[] default '{}', p_rooms integer[] default '{}',
  p_other_room integer default null, p_look boolean default false, p_after text default ''
) returns table (
  task_id uuid, batch_id uuid, attempt integer, priority integer, seq bigint, claimed_at timestamptz,
  idempotency_key text, params jsonb, counts text, has_rules boolean, again boolean,
  host text, by_host boolean, held boolean, passed text, traceparent text
)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_candidates uuid[];
  v_kinds text[];
  v_by_host uuid[];
  v_held boolean;
  v_passed text;
  v_ruled uuid[];
  v_probed bigint[];
  v_again boolean;
  v_claimed uuid[];
  v_claimed_hosts text[];
  v_doubtful uuid[];
  v_uncalled uuid[];
  v_delivered bigint;
  v_counts text;
begin
  perform pg_advisory_xact_lock_shared(1414681424, hashtext(p_replica::text));
  perform taskrunner_private.begin_counts();
  select c.task_ids, c.kinds, c.by_host, c.held, c.passed into v_candidates, v_kinds, v_by_host, v_held, v_passed
  from taskrunner_private.fitting_candidates(
    p_limit, p_mark_priorities, p_mark_seqs, p_rescan, p_hosts, p_rooms, p_other_room, p_look, p_after) c;
  select d.task_ids, d.kinds, d.ruled, d.probed, d.again, v_held or d.held
  into v_candidates, v_kinds, v_ruled, v_probed, v_again, v_held
  from taskrunner_private.decide_candidates(v_candidates, v_kinds, p_limit, p_hosts, p_rooms, p_other_room) d;

  -- Under the locks, in a later statement: still ready? The state is compared as text so that the rows are found by their
  -- ids: with statistics from before a large promotion the index of ready tasks looks empty, and all of it would be read.
  with unqueued as (
    delete from taskrunner_private.queued_task q
    using taskrunner.task t
    where q.task_id = any(v_candidates) and q.state::text = 'ready' and t.id = q.task_id and t.status = 'Pending'
      and (not q.has_rules or q.task_id = any(v_ruled))
    returning q.task_id, q.seq, q.created_at, q.kind, q.host, t.timeout, q.host is null or t.contacted as doubtful
  ), activated as (
    insert into taskrunner_private.active_task (task_id, seq, created_at, claimed_at, due_at, replica_id, kind)
    select u.task_id, u.seq, u.created_at, v_now, v_now + make_interval(secs => least(u.timeout, p_claim_timeout_secs)),
      p_replica, u.kind
    from unqueued u
  )
  select array_agg(u.task_id), array_agg(u.host), array_agg(u.task_id) filter (where u.doubtful)
  into v_claimed, v_claimed_hosts, v_doubtful
  from unqueued u;

  if v_claimed is not null then
    perform taskrunner_private.insert_slots(v_claimed, v_kinds);
  end if;
  if v_probed <> '{}' then
    -- Probes that were started, or parked elsewhere: whether their limits have room for more is known now, under the same stripes.
    -- The tasks of these rows are not held, so nothing is waited for from here on.
    perform taskrunner_private.unpark(v_probed);
  end if;

  if p_rescan and not v_held and not v_again and coalesce(cardinality(v_claimed), 0) < p_limit then
    v_held := exists (select from taskrunner_private.queued_task q where q.state = 'ready' and not q.has_rules)
      or exists (select from taskrunner_private.queued_task q where q.state = 'ready' and q.has_rules);
  end if;

  if v_claimed is null then
    -- Should it be lost, then so is all that came after it, and somebody decides again. Many such claims may come in a row.
    perform set_config('synchronous_commit', 'off', true);
    if v_again or v_held then
      return query select null::uuid, null::uuid, 0, 0, 0::bigint, v_now, '', null::jsonb, taskrunner_private.take_counts(), false,
        v_again, null, false, v_held, v_passed, null;
    end if;
    return;
  end if;

  -- Without a Start action, or contacted before: an earlier try of this attempt may have been delivered after all.
  if v_doubtful is not null then
    select array_agg(t.id), count(a.id) into v_uncalled, v_delivered
    from taskrunner.task t
    left join lateral (
      select x.id, x.params from taskrunner.action x
      where x.task_id = t.id and (case when x.trigger = 'Start' then true end) offset 0) a on true
    where t.id = any(v_doubtful) and (a.id is null or exists (
      select from taskrunner_private.delivery d
      where d.task_id = t.id and d.trigger = 'Start' and d.task_attempt = t.attempt and d.status = 'Delivered'));
  end if;

  perform taskrunner_private.set_cause('claim');
  update taskrunner.task t
  set status = 'Claimed', contacted = true, last_updated = now()
  where t.id = any(v_claimed);
  if v_uncalled is not null then
    perform taskrunner_private.set_cause('start');
    update taskrunner.task t
    set status = 'Running', started_at = now(), last_updated = now()
    where t.id = any(v_uncalled);
    perform taskrunner_private.add_count('delivered', v_delivered);
  end if;
  perform taskrunner_private.set_cause('');

  v_counts := taskrunner_private.take_counts();
  -- From subqueries the planner does not see how many there are, so that it keeps its plan, which takes longer to make than to run.
  return query
  select t.id, t.batch_id, t.attempt, t.priority, t.seq, v_now,
    taskrunner_private.delivery_key(t.id, 'Start', null, 1, t.attempt),
    case when t.status = 'Claimed' then a.params end, case when q.n = 1 then v_counts else '' end, t.rules <> '[]', v_again,
    q.host, t.id = any(v_by_host), v_held, v_passed, a.traceparent
  from unnest((select v_claimed), (select v_claimed_hosts)) with ordinality q (task_id, host, n)
  join taskrunner.task t on t.id = q.task_id
  left join lateral (
      select x.id, x.params, x.traceparent from taskrunner.action x
      where x.task_id = t.id and (case when x.trigger = 'Start' then true end) offset 0) a on true
  order by t.priority desc, t.seq;
end $$;
