-- Webhook hosts to which no live replica makes calls of on_start now, each by what the replica says that is the first to go on. opens_at: its
-- circuit is open until then; null: it is at its share of the slots. error: how its last call failed.
-- Locks: none. Called by: why, count_parked.
create or replace function taskrunner_private.held_hosts() returns table (host text, opens_at timestamptz, error text)
language sql stable set search_path = pg_catalog, pg_temp set jit = off as $$
  with live as materialized (
    select r.id, r.held_hosts from taskrunner_private.replica r where r.heartbeat_at > clock_timestamp() - interval '5 seconds'
  )
  select distinct on (h.host) h.host, h.opens_at, h.error
  from (
    select x.host collate "C" as host, x.opens_at, x.error, count(*) over (partition by x.host) as replicas
    from live l
    cross join lateral jsonb_to_recordset(l.held_hosts) x (host text, opens_at timestamptz, error text)
  ) h
  where h.replicas = (select count(*) from live)
  order by h.host, h.opens_at nulls first;
$$;
