-- Which hosts a claim looks up, and how many calls each may have: those that a walk through a queue has found, and those that are known
-- to have room, wherever the walk is. Hosts without room are left out.
-- p_hosts, p_rooms, p_other_room: as for claim_tasks; p_taken_hosts: of what the claim has got already.
-- Locks: none. Called by: host_candidates, host_deliveries.
create or replace function taskrunner_private.hosts_with_room(
  p_walked text[], p_hosts text[], p_rooms integer[], p_other_room integer, p_taken_hosts text[], out hosts text[], out rooms integer[]
)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_hashjoin = off set enable_mergejoin = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_rooms jsonb := coalesce(jsonb_object(p_hosts, p_rooms::text[]), '{}'); -- hosts may be a thousand: looked up, not gone through
begin
  select array_agg(h.host), array_agg(h.room) into hosts, rooms
  from (
    select x.host, coalesce((v_rooms ->> x.host)::integer, p_other_room)
      - (select count(*) from unnest(p_taken_hosts) t (host) where t.host = x.host)::integer as room
    from (
      select w.host from unnest(p_walked) w (host)
      union
      select r.host from unnest(p_hosts, p_rooms) r (host, room) where r.room > 0) x
  ) h
  where h.room > 0;
end $$;
