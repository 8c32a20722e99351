-- Due deliveries of hosts that have room, oldest first, locked: for a claim whose next deliveries all lead to hosts without
-- room, however many of these are due. Parameters and passed as host_candidates.
-- Locks: rows of due_delivery, skip locked. Called by: claim_deliveries.
create or replace function taskrunner_private.host_deliveries(
  p_now timestamptz, p_limit integer, p_hosts text[], p_rooms integer[], p_other_room integer, p_taken uuid[], p_taken_hosts text[],
  p_after text, out delivery_ids uuid[], out passed text, out held boolean
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
      select d.host from taskrunner_private.due_delivery d where p_other_room > 0 and d.host > p_after order by d.host limit 1), 1
    union all
    select (select d.host from taskrunner_private.due_delivery d where d.host > w.host order by d.host limit 1), w.n + 1
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
      select from taskrunner_private.due_delivery q
      where q.host >= r.host and q.host <= r.host and q.next_try_at <= p_now and (q.leased_until is null or q.leased_until < p_now)
      order by q.host limit 1) q
    where r.room <= 0)
    or p_other_room <= 0 and exists (select from taskrunner_private.due_delivery q where q.next_try_at <= p_now);

  -- Twice as many as are wanted, because another claim may hold some. Why a range and the order by host: host_candidates.sql.
  delivery_ids := array(
    select d.delivery_id
    from (
      select q.*
      from unnest(v_hosts, v_rooms) h (host, room)
      cross join lateral (
        select q.delivery_id, q.next_try_at
        from taskrunner_private.due_delivery q
        where q.host >= h.host and q.host <= h.host and q.next_try_at <= p_now and (q.leased_until is null or q.leased_until < p_now)
          and q.delivery_id <> all(p_taken)
        order by q.host, q.next_try_at
        limit least(h.room, p_limit)) q
      order by q.next_try_at
      limit 2 * p_limit
    ) c
    join taskrunner_private.due_delivery d on d.delivery_id = c.delivery_id
    where d.leased_until is null or d.leased_until < p_now
    order by c.next_try_at
    limit p_limit
    for update of d skip locked);
end $$;
