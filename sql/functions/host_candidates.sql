-- Ready tasks without rules of hosts that have room, in order, their task rows locked: for a claim whose next tasks all lead to
-- hosts without room, however many of these stand before the others.
-- p_hosts, p_rooms, p_other_room: as for claim_tasks; p_taken: what the claim has got already, whose hosts are p_taken_hosts.
-- It looks up the hosts that are known to have room, and goes through the others by name, behind p_after, up to 200 of them; then passed
-- is the last one, from where the next look goes on, else null. Without room for others there is nothing to go through; p_after null: it
-- is not done now, since it reads past what each host has had before. held: hosts without room have such tasks, or may have, or others
-- were not gone through. Tasks without a host belong to every look.
-- Locks: rows of task, for no key update skip locked. The queue rows are not locked (claim_candidates). Called by: fitting_candidates.
create or replace function taskrunner_private.host_candidates(
  p_limit integer, p_hosts text[], p_rooms integer[], p_other_room integer, p_taken uuid[], p_taken_hosts text[], p_after text,
  out task_ids uuid[], out kinds text[], out passed text, out held boolean
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off set enable_sort = off
set enable_material = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  c_hosts constant integer := 200;
  v_walked text[];
  v_hosts text[];
  v_rooms integer[];
begin
  with recursive walk (host, n) as (
    select (
      select q.host from taskrunner_private.queued_task q
      where p_other_room > 0 and q.state = 'ready' and not q.has_rules and q.host > p_after
      order by q.host limit 1), 1
    union all
    select (
      select q.host from taskrunner_private.queued_task q
      where q.state = 'ready' and not q.has_rules and q.host > w.host
      order by q.host limit 1), w.n + 1
    from walk w
    where w.host is not null and w.n < c_hosts
  )
  select array_agg(w.host), max(w.host) filter (where w.n = c_hosts) into v_walked, passed
  from walk w
  where w.host is not null;
  select r.hosts, r.rooms into v_hosts, v_rooms
  from taskrunner_private.hosts_with_room(v_walked, p_hosts, p_rooms, p_other_room, p_taken_hosts) r;

  held := p_after is null or exists (
    select from unnest(p_hosts, p_rooms) r (host, room)
    cross join lateral (
      select from taskrunner_private.queued_task q
      where q.state = 'ready' and not q.has_rules and q.host >= r.host and q.host <= r.host
      order by q.host limit 1) q
    where r.room <= 0)
    or p_other_room <= 0 and exists (
      select from taskrunner_private.queued_task q where q.state = 'ready' and not q.has_rules and q.host > '');

  -- Twice as many as are wanted, because another claim may hold some. The order by host, which is one, and the range for it keep the
  -- planner from reading another index in the order of priorities, past all of a host without room.
  select coalesce(array_agg(found.id), '{}'), coalesce(array_agg(found.kind), '{}') into task_ids, kinds
  from (
    select t.id, c.kind
    from (
      select x.*
      from (
        select q.*
        from unnest(v_hosts, v_rooms) h (host, room)
        cross join lateral (
          select q.task_id, q.kind, q.priority, q.seq
          from taskrunner_private.queued_task q
          where q.state = 'ready' and not q.has_rules and q.host >= h.host and q.host <= h.host
            and q.task_id <> all(p_taken)
          order by q.host, q.priority desc, q.seq
          limit least(h.room, p_limit)) q
        union all (
          select q.task_id, q.kind, q.priority, q.seq
          from taskrunner_private.queued_task q
          where q.state = 'ready' and not q.has_rules and q.host is null and q.task_id <> all(p_taken)
          order by q.host, q.priority desc, q.seq
          limit p_limit)
      ) x
      order by x.priority desc, x.seq
      limit 2 * p_limit
    ) c
    join taskrunner.task t on t.id = c.task_id
    where t.status = 'Pending'
    order by c.priority desc, c.seq
    limit p_limit
    for no key update of t skip locked) found;
end $$;
