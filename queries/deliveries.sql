-- Deliveries as people see them and have them repeated: sql/views/delivery.sql, sql/functions/list_deliveries.sql,
-- replay_delivery.sql and replay_deliveries.sql.

-- name: ListDeliveries :many
-- The lateral look-up, because the planner moves no join into a view with a security barrier.
select d.*
from unnest(taskrunner_private.list_deliveries(sqlc.narg(status)::text::taskrunner.delivery_status,
  sqlc.narg(trigger)::text::taskrunner.trigger_kind, sqlc.narg(task_id)::uuid, sqlc.narg(batch_id)::uuid, sqlc.narg(host)::text,
  sqlc.narg(since)::timestamptz, sqlc.narg(until)::timestamptz, sqlc.narg(after_at)::timestamptz, sqlc.narg(after_id)::uuid,
  sqlc.arg(skip)::bigint, sqlc.arg(most)::integer)) with ordinality as page (id, n)
cross join lateral (select * from taskrunner.delivery v where v.id = page.id offset 0) d
order by page.n;

-- name: Delivery :many
select d.* from taskrunner.delivery d where d.id = $1;

-- name: TaskDeliveries :many
-- A page of the deliveries of a task, oldest first, with the log of their tries. The lateral look-up as above.
select d.*, l.attempts
from (
  select x.id from taskrunner_private.delivery x
  where x.task_id = sqlc.arg(task_id)::uuid and (sqlc.narg(after_at)::timestamptz is null
    or (x.created_at, x.id) > (sqlc.narg(after_at)::timestamptz, sqlc.narg(after_id)::uuid))
  order by x.created_at, x.id
  limit sqlc.arg(most)::integer offset sqlc.arg(skip)::bigint) page
cross join lateral (select * from taskrunner.delivery v where v.id = page.id offset 0) d
cross join lateral (
  select json_agg(json_build_object('at', t.at, 'status_code', t.status_code, 'latency_ms', t.latency_ms, 'error', t.error,
    'response', t.response) order by t.number) as attempts
  from (
    select 1 as number, f.first_try_at as at, f.first_status_code as status_code, f.first_latency_ms as latency_ms,
      f.first_error as error, f.first_response as response
    from taskrunner_private.delivery f
    where f.id = d.id and f.first_try_at is not null
    union all
    select n.number, n.at, n.status_code, n.latency_ms, n.error, n.response
    from taskrunner_private.delivery_try n
    where n.delivery_id = d.id) t
) l
order by d.created_at, d.id;

-- name: ReplayDelivery :exec
select taskrunner_private.replay_delivery(sqlc.arg(delivery_id)::uuid);

-- name: ReplayDeliveries :one
-- last_at and last_id hold the last delivery of the chunk, or nothing when it is empty.
select r.looked_at::integer as looked_at, r.replayed::integer as replayed,
  array_remove(array[r.last_at], null)::timestamptz[] as last_at, array_remove(array[r.last_id], null)::uuid[] as last_id,
  r.until::timestamptz as until
from taskrunner_private.replay_deliveries(sqlc.arg(status)::text::taskrunner.delivery_status,
  sqlc.narg(trigger)::text::taskrunner.trigger_kind, sqlc.narg(task_id)::uuid, sqlc.narg(batch_id)::uuid, sqlc.narg(host)::text,
  sqlc.narg(since)::timestamptz, sqlc.narg(until)::timestamptz, sqlc.narg(after_at)::timestamptz, sqlc.narg(after_id)::uuid,
  sqlc.arg(most)::integer) r;
