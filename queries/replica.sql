-- The life of a replica: sql/functions/tick.sql and leave.sql.

-- name: Tick :one
-- next_due_at holds the moment, or nothing when nothing is scheduled.
select a.due_chores::text[] as due_chores,
  array_remove(array[case when isfinite(a.next_due_at) then a.next_due_at end], null)::timestamptz[] as next_due_at,
  a.ready::boolean as ready, a.deliveries::boolean as deliveries
from taskrunner_private.tick(sqlc.arg(replica)::uuid, sqlc.arg(name)::text, sqlc.arg(version)::text,
  sqlc.arg(free_slots)::integer, sqlc.arg(idle_start)::boolean, sqlc.arg(idle_deliver)::boolean,
  sqlc.arg(idle_chores)::boolean, sqlc.arg(held_hosts)::jsonb) a;

-- name: CountParked :one
select p.by_rule::bigint as by_rule, p.by_run_at::bigint as by_run_at, p.by_host::bigint as by_host
from taskrunner_private.count_parked() p;

-- name: Leave :exec
select taskrunner_private.leave(sqlc.arg(replica)::uuid);
