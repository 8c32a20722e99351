-- The life of a replica: sql/functions/tick.sql, fall_asleep.sql, stay_awake.sql and leave.sql.

-- name: Tick :one
-- next_due_at holds the moment, or nothing when nothing is scheduled.
select a.due_chores::text[] as due_chores,
  array_remove(array[case when isfinite(a.next_due_at) then a.next_due_at end], null)::timestamptz[] as next_due_at,
  a.ready::boolean as ready, a.deliveries::boolean as deliveries
from taskrunner_private.tick(sqlc.arg(replica)::uuid, sqlc.arg(name)::text, sqlc.arg(version)::text,
  sqlc.arg(free_slots)::integer, sqlc.arg(idle_chores)::boolean, sqlc.arg(held_hosts)::jsonb) a;

-- name: FallAsleep :one
-- horizon is empty when the stamp did not stand.
select s.stood::boolean as stood, coalesce(s.horizon::text, '')::text as horizon, s.quiet::boolean as quiet
from taskrunner_private.fall_asleep(sqlc.arg(replica)::uuid, sqlc.arg(loop)::text, nullif(sqlc.arg(horizon)::text, '')::xid8) s;

-- name: StayAwake :exec
select taskrunner_private.stay_awake(sqlc.arg(replica)::uuid, sqlc.arg(loop)::text);

-- name: ReadGauges :many
select g.gauge::text as gauge, coalesce(g.label, '')::text as label, coalesce(g.second_label, '')::text as second_label,
  g.value::double precision as value
from taskrunner_private.read_gauges() g
union all
select 'tasks_parked', r.reason, '', r.n::double precision
from taskrunner_private.count_parked() p
cross join lateral (values ('rule', p.by_rule), ('run_at', p.by_run_at), ('host', p.by_host)) r (reason, n);

-- name: Leave :exec
select taskrunner_private.leave(sqlc.arg(replica)::uuid);
