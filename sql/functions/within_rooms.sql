-- Which of some calls, whose hosts are given in their order, fit in the rooms of their hosts: their positions from 1. A call
-- without a host needs no room.
-- p_hosts, p_rooms: how many calls each of these hosts may have; p_other_room: each other host.
-- Locks: none. Called by: fitting_candidates, decide_candidates, claim_deliveries.
create or replace function taskrunner_private.within_rooms(
  p_calls text[], p_hosts text[], p_rooms integer[], p_other_room integer
) returns integer[]
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_mergejoin = off set jit = off as $$
begin                                                        -- not sql, which would be planned anew for each claim
  return (
  select coalesce(array_agg(c.n order by c.n), '{}')
  from (
    select u.n::integer as n, u.host, row_number() over (partition by u.host order by u.n) as nth
    from unnest(p_calls) with ordinality u (host, n)
  ) c
  left join unnest(p_hosts, p_rooms) r (host, room) on r.host = c.host
  where c.host is null or c.nth <= coalesce(r.room, p_other_room));
end $$;
