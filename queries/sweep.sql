-- Chores, each call one bounded chunk: sql/functions/sweep_active.sql, sweep_replicas.sql,
-- release_scheduled.sql, drain_dead_ends.sql, register_shape.sql, drop_shape.sql, wake_limits.sql, recheck_limits.sql,
-- delete_gates.sql, delete_idempotency_keys.sql, begin_prune.sql, prune.sql and prune_preview.sql.

-- name: SweepActive :one
select s.looked_at::integer as looked_at, s.counts::text as counts
from taskrunner_private.sweep_active(sqlc.arg(most)::integer, sqlc.arg(claim_timeout_secs)::integer) s;

-- name: SweepReplicas :one
select s.requeued::integer as requeued, s.counts::text as counts
from taskrunner_private.sweep_replicas(sqlc.arg(most)::integer, sqlc.arg(silence_secs)::integer) s;

-- name: ReleaseScheduled :one
select taskrunner_private.release_scheduled(sqlc.arg(most)::integer);

-- name: DrainDeadEnds :one
select d.examined::integer as examined, d.counts::text as counts
from taskrunner_private.drain_dead_ends(sqlc.arg(most)::integer) d;

-- name: DeleteIdempotencyKeys :one
select taskrunner_private.delete_idempotency_keys(sqlc.arg(most)::integer, sqlc.arg(life_secs)::integer);

-- name: RegisterShape :one
-- Was there any due?
select (taskrunner_private.register_shape() is not null)::boolean;

-- name: DropShape :one
-- Was there any due?
select (taskrunner_private.drop_shape() is not null)::boolean;

-- name: WakeLimits :one
select w.looked_at::integer as looked_at, w.unparked::integer as unparked, w.idle::boolean as idle
from taskrunner_private.wake_limits(sqlc.arg(most)::integer, sqlc.arg(replica)::uuid, sqlc.arg(room)::integer) w;

-- name: RecheckLimits :one
select r.repaired::integer as repaired, r.progressed::integer as progressed
from taskrunner_private.recheck_limits(sqlc.arg(all_gates)::boolean) r;

-- name: DeleteGates :one
select taskrunner_private.delete_gates(sqlc.arg(most)::integer);

-- name: BeginPrune :one
-- Seconds until it may be the caller's turn; 0: it is.
select taskrunner_private.begin_prune(sqlc.arg(interval_secs)::integer)::double precision;

-- name: Prune :one
-- One chunk of retention: sql/functions/prune.sql.
select p.tasks::integer as tasks, p.batches::integer as batches, p.deliveries::integer as deliveries, p.attempts::bigint as attempts,
  p.next::jsonb as next
from taskrunner_private.prune(sqlc.arg(days)::integer, sqlc.arg(most)::integer, sqlc.arg(chunk)::jsonb) p;

-- name: PrunePreview :one
select p.tasks::bigint as tasks, p.batches::bigint as batches, p.deliveries::bigint as deliveries, p.attempts::bigint as attempts
from taskrunner_private.prune_preview(sqlc.arg(days)::integer) p;
