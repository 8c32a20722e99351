-- Deliveries of End and Cancel actions: sql/functions/claim_deliveries.sql and settle_deliveries.sql.

-- name: ClaimDeliveries :many
-- batch_ids holds the batch, or nothing for a task without one.
select d.delivery_id::uuid as delivery_id, d.task_id::uuid as task_id,
  array_remove(array[d.batch_id], null)::uuid[] as batch_ids, d.trigger::text as trigger,
  d.task_attempt::integer as task_attempt, d.number::integer as number, d.next_try_at::timestamptz as next_try_at,
  d.idempotency_key::text as idempotency_key, d.params::jsonb as params
from taskrunner_private.claim_deliveries(sqlc.arg(replica)::uuid, sqlc.arg(most)::integer,
  sqlc.arg(lease_secs)::integer, coalesce(sqlc.narg(after)::timestamptz, '-infinity'), sqlc.arg(rescan)::boolean) d;

-- name: SettleDeliveries :exec
select from taskrunner_private.settle_deliveries(sqlc.arg(tries)::jsonb, sqlc.arg(backoff_secs)::double precision,
  sqlc.arg(backoff_factor)::double precision, sqlc.arg(backoff_max_secs)::double precision);
