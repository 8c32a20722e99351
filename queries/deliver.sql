-- Deliveries of End and Cancel actions: sql/functions/claim_deliveries.sql, give_back_deliveries.sql and settle_deliveries.sql.

-- name: ClaimDeliveries :many
-- batch_ids holds the batch, or nothing for a task without one. delivery_ids is empty in a row that says only that some were left out.
select array_remove(array[d.delivery_id], null)::uuid[] as delivery_ids,
  coalesce(d.task_id, '00000000-0000-0000-0000-000000000000')::uuid as task_id,
  array_remove(array[d.batch_id], null)::uuid[] as batch_ids, coalesce(d.trigger::text, '')::text as trigger,
  d.task_attempt::integer as task_attempt, d.number::integer as number, d.next_try_at::timestamptz as next_try_at,
  d.idempotency_key::text as idempotency_key, coalesce(d.params, '{}')::jsonb as params, coalesce(d.host, '')::text as host,
  d.by_host::boolean as by_host, d.held::boolean as held, coalesce(d.passed, '')::text as passed,
  d.leased_until::timestamptz as leased_until, coalesce(d.traceparent, '')::text as traceparent
from taskrunner_private.claim_deliveries(sqlc.arg(replica)::uuid, sqlc.arg(most)::integer,
  sqlc.arg(lease_secs)::integer, coalesce(sqlc.narg(after)::timestamptz, '-infinity'), sqlc.arg(rescan)::boolean,
  sqlc.arg(hosts)::text[], sqlc.arg(rooms)::integer[], sqlc.narg(other_room)::integer, sqlc.arg(look)::boolean,
  sqlc.narg(host_after)::text) d;

-- name: GiveBackDeliveries :one
-- -1 while a claim has not ended.
select coalesce(taskrunner_private.give_back_deliveries(sqlc.arg(replica)::uuid, sqlc.arg(kept)::uuid[]), -1)::integer as given_back;

-- name: SettleDeliveries :many
-- What became of those that it settled.
select s.delivery_id::uuid as delivery_id, lower(s.trigger::text)::text as trigger, s.status::text as status
from taskrunner_private.settle_deliveries(sqlc.arg(tries)::jsonb, sqlc.arg(backoff_secs)::double precision,
  sqlc.arg(backoff_factor)::double precision, sqlc.arg(backoff_max_secs)::double precision) s;

-- name: OthersDeliveries :many
-- Of deliveries whose failed tries were not settled: those that others have delivered, or are sending now.
select (lower(d.trigger::text) || coalesce('_' || lower(d.condition::text), ''))::text as trigger,
  count(*) filter (where d.status = 'Delivered') as delivered, count(*) filter (where q.leased_until > clock_timestamp()) as sending
from unnest(sqlc.arg(ids)::uuid[]) as wanted (id)
cross join lateral (select * from taskrunner_private.delivery x where x.id = wanted.id offset 0) d
left join lateral (select * from taskrunner_private.due_delivery x where x.delivery_id = wanted.id offset 0) q on true
group by 1;
