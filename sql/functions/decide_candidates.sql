-- Takes the next tasks with rules as well, and decides which of all candidates of a claim start; without any that is next to
-- nothing. Tasks with rules are decided by one claim at a time (an advisory lock, tried only: two would mostly wait for each
-- other's limits); who does not get it takes the others. What a limit holds is parked, and what cannot be decided now is put off,
-- so that neither stands in front of others.
-- p_task_ids, p_kinds: ready tasks without rules in order, locked. p_limit: how many may start.
-- p_hosts, p_rooms, p_other_room: as for claim_tasks.
-- Returns the tasks to start, whose kinds are locked (try_lock_kinds), kinds of all of them, those that have rules, the limits of which
-- a probe was decided, again: some were parked or put off, or not looked at yet, and held: some were left out for want of room at
-- their host.
-- Locks: rows of task, skip locked; advisory (1414681418, 3) and per kind, tried; rows of limit_lock for at most 100 ms in all
-- (admit); rows of queued_task. Writes queued_task, gate, wake, shape_request. Called by: claim_tasks.
create or replace function taskrunner_private.decide_candidates(
  p_task_ids uuid[], p_kinds text[], p_limit integer, p_hosts text[], p_rooms integer[], p_other_room integer,
  out task_ids uuid[], out kinds text[], out ruled uuid[], out probed bigint[], out again boolean, out held boolean
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_ruled constant integer := 300;                           -- tasks with rules that one claim decides about
  c_longest_secs constant integer := 5;                      -- to be put off
  c_host_secs constant integer := 30;                        -- because of the host
  v_hosts text[];
  v_sure boolean[];                                          -- by place: a probe, or without rules
  v_fit integer[];                                           -- places of those for which their hosts have room
  v_near integer[];
  v_away uuid[];
  v_busy text[];
  v_decision record;
begin
  task_ids := p_task_ids;
  kinds := p_kinds;
  ruled := '{}';
  again := false;
  held := false;
  if exists (select from taskrunner_private.queued_task q where q.state = 'ready' and q.has_rules)
    and pg_try_advisory_xact_lock(1414681418, 3)
  then
    select r.ids, r.more into ruled, again from taskrunner_private.ruled_candidates(c_ruled) r;
  end if;
  if task_ids = '{}' and ruled = '{}' then
    return;
  end if;
  if ruled <> '{}' then
    -- Under the locks, in a later statement: what is still ready, and what each is. The state is compared as text so that the
    -- rows are found by their ids.
    select coalesce(array_agg(c.task_id), '{}'), coalesce(array_agg(c.task_id) filter (where c.has_rules), '{}'), array_agg(c.kind),
      array_agg(c.host), array_agg(c.limit_id is not null or not c.has_rules)
    into task_ids, ruled, kinds, v_hosts, v_sure
    from (
      select q.task_id, q.has_rules, q.kind, q.host, q.limit_id
      from unnest(p_task_ids || ruled) with ordinality u (id, n)
      cross join lateral (
        select x.* from taskrunner_private.queued_task x where x.task_id = u.id and x.state::text = 'ready' offset 0) q
      where not q.has_rules or u.n > cardinality(p_task_ids)
      order by q.priority desc, q.seq) c;
  end if;

  if ruled <> '{}' then
    v_fit := array(select generate_subscripts(task_ids, 1));
    if p_other_room is not null then
      v_fit := taskrunner_private.within_rooms(v_hosts, p_hosts, p_rooms, p_other_room);
      held := cardinality(v_fit) < cardinality(task_ids);
    end if;
    if held then
      -- Those of a host that is in trouble, or for which those in trouble leave no room, must not stand before others, nor keep a
      -- limit's turn.
      v_busy := array(select r.host from unnest(p_hosts, p_rooms) r (host, room) where r.room < 0);
      v_away := array(
        select u.id from unnest(task_ids, v_hosts) with ordinality u (id, host, n)
        where u.id = any(ruled) and (u.host = any(v_busy) or p_other_room <= 0 and u.host <> all(p_hosts)) and u.n <> all(v_fit));
      perform taskrunner_private.put_off(v_away, c_host_secs);
      again := again or v_away <> '{}';
    end if;
    -- Behind as many probes and tasks without rules as may start there will hardly be a place: what stands there is not decided.
    v_near := v_fit;
    if cardinality(array_positions(v_sure, true)) > p_limit then
      v_near := array(
        select f.n from (
          select x.n, count(*) filter (where v_sure[x.n]) over (order by x.n rows between unbounded preceding and 1 preceding) as before
          from unnest(v_fit) x (n)) f
        where f.before < p_limit order by f.n);
    end if;
    if cardinality(v_near) < cardinality(task_ids) then
      select coalesce(array_agg(task_ids[f.n] order by f.n), '{}'), array_agg(kinds[f.n] order by f.n) into task_ids, kinds
      from unnest(v_near) f (n);
      ruled := array(select unnest(ruled) intersect select unnest(task_ids));
    end if;
  end if;

  v_busy := taskrunner_private.try_lock_kinds(kinds);
  if v_busy <> '{}' then
    perform taskrunner_private.put_off(array(select u.id from unnest(task_ids, kinds) u (id, kind) where u.kind = any(v_busy)), c_longest_secs);
    task_ids := array(
      select u.id from unnest(task_ids, kinds) with ordinality u (id, kind, n) where u.kind <> all(v_busy) order by u.n);
    ruled := array(select unnest(ruled) intersect select unnest(task_ids));
    again := true;
  end if;
  if ruled <> '{}' then
    v_decision := taskrunner_private.admit(task_ids, ruled, p_limit, 100);
    task_ids := v_decision.admitted;
    again := again or v_decision.refused <> '{}' or v_decision.undecided <> '{}'
      or cardinality(task_ids) < p_limit and cardinality(v_near) < cardinality(v_fit);
    probed := array(
      select distinct q.limit_id from taskrunner_private.queued_task q
      where q.task_id = any(v_decision.admitted || v_decision.refused) and q.limit_id is not null);
    if v_decision.refused <> '{}' then
      perform taskrunner_private.park(
        v_decision.refused, v_decision.gates, v_decision.held_by, v_decision.held_maximum, v_decision.held_capacity);
      perform taskrunner_private.add_count('blocked', cardinality(v_decision.refused));
    end if;
    if v_decision.undecided <> '{}' then
      perform taskrunner_private.put_off(v_decision.undecided, c_longest_secs);
    end if;
  end if;
end $$;
