-- The next ready tasks without rules in order, their task rows locked. Reads the queue behind a replica's marks: per priority, rows
-- up to the mark are consumed, and stepping over their dead versions again at every claim is what makes a queue slow
-- while an old snapshot is open (design: PlanetScale measured a backlog of 155,000 so). Priorities without a mark are
-- read from their start. One index range per step; p_mark_priorities descends.
-- What stands behind a mark after all (committed late, requeued, skipped while locked) is found by a call without
-- marks, which the replica makes at least once a second and whenever it is woken.
-- p_rooms: null, or an object with the room of each webhook host; p_other_room: of the others. Then tasks of hosts without room are
-- passed over, each step at most c_past rows: where more of them stand together, looking up by host is cheaper (host_candidates).
-- Returns their kinds and hosts beside them.
-- Nothing is materialized: where statistics call no task Pending, one look at all tasks would seem cheaper than one for each.
-- Locks: rows of task, for no key update skip locked. The queue rows are not locked: whoever changes the state of a
-- ready task's row holds the task.
create or replace function taskrunner_private.claim_candidates(
  p_limit integer, p_mark_priorities integer[], p_mark_seqs bigint[], p_rooms jsonb, p_other_room integer,
  out task_ids uuid[], out kinds text[], out hosts text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_material = off set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off
set plan_cache_mode = force_generic_plan as $$
declare
  c_past constant integer := 10000;
  v_past integer := case when p_rooms is not null then c_past end;
  v_above integer := 2147483647;                             -- priorities from here upwards are read
begin
  task_ids := '{}';
  kinds := '{}';
  hosts := '{}';
  for i in 1 .. coalesce(cardinality(p_mark_priorities), 0) loop
    select task_ids || coalesce(array_agg(found.id), '{}'), kinds || coalesce(array_agg(found.kind), '{}'),
      hosts || coalesce(array_agg(found.host), '{}')
    into task_ids, kinds, hosts
    from (
      select t.id, q.kind, q.host
      from (
        select q.* from taskrunner_private.queued_task q
        where q.state = 'ready' and not q.has_rules and q.priority > p_mark_priorities[i] and q.priority < v_above
        order by q.priority desc, q.seq
        limit v_past) q
      join taskrunner.task t on t.id = q.task_id
      where t.status = 'Pending' and (p_rooms is null or q.host is null or coalesce((p_rooms ->> q.host)::integer, p_other_room) > 0)
      order by q.priority desc, q.seq
      limit p_limit - cardinality(task_ids)
      for no key update of t skip locked) found;
    select task_ids || coalesce(array_agg(found.id), '{}'), kinds || coalesce(array_agg(found.kind), '{}'),
      hosts || coalesce(array_agg(found.host), '{}')
    into task_ids, kinds, hosts
    from (
      select t.id, q.kind, q.host
      from (
        select q.* from taskrunner_private.queued_task q
        where q.state = 'ready' and not q.has_rules and q.priority = p_mark_priorities[i] and q.seq > p_mark_seqs[i]
        order by q.seq
        limit v_past) q
      join taskrunner.task t on t.id = q.task_id
      where t.status = 'Pending' and (p_rooms is null or q.host is null or coalesce((p_rooms ->> q.host)::integer, p_other_room) > 0)
      order by q.seq
      limit p_limit - cardinality(task_ids)
      for no key update of t skip locked) found;
    v_above := p_mark_priorities[i];
    if cardinality(task_ids) >= p_limit then
      return;
    end if;
  end loop;
  select task_ids || coalesce(array_agg(found.id), '{}'), kinds || coalesce(array_agg(found.kind), '{}'),
    hosts || coalesce(array_agg(found.host), '{}')
  into task_ids, kinds, hosts
  from (
    select t.id, q.kind, q.host
    from (
      select q.* from taskrunner_private.queued_task q
      where q.state = 'ready' and not q.has_rules and q.priority < v_above
      order by q.priority desc, q.seq
      limit v_past) q
    join taskrunner.task t on t.id = q.task_id
    where t.status = 'Pending' and (p_rooms is null or q.host is null or coalesce((p_rooms ->> q.host)::integer, p_other_room) > 0)
    order by q.priority desc, q.seq
    limit p_limit - cardinality(task_ids)
    for no key update of t skip locked) found;
end $$;
