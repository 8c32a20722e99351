-- Claims of the start loop: sql/functions/claim_tasks.sql and give_back_claims.sql.

-- name: ClaimTasks :many
-- batch_ids holds the batch, or nothing for a task without one; params is null when there is nothing to call. task_ids is empty
-- in a row that says only that there may be more.
select array_remove(array[c.task_id], null)::uuid[] as task_ids, array_remove(array[c.batch_id], null)::uuid[] as batch_ids,
  c.attempt::integer as attempt, c.priority::integer as priority, c.seq::bigint as seq,
  c.claimed_at::timestamptz as claimed_at, c.idempotency_key::text as idempotency_key, c.params::jsonb as params,
  c.counts::text as counts, c.has_rules::boolean as has_rules, c.again::boolean as again,
  coalesce(c.host, '')::text as host, c.by_host::boolean as by_host, c.held::boolean as held, coalesce(c.passed, '')::text as passed,
  coalesce(c.traceparent, '')::text as traceparent
from taskrunner_private.claim_tasks(sqlc.arg(replica)::uuid, sqlc.arg(most)::integer,
  sqlc.arg(claim_timeout_secs)::integer, sqlc.arg(mark_priorities)::integer[], sqlc.arg(mark_seqs)::bigint[],
  sqlc.arg(rescan)::boolean, sqlc.arg(hosts)::text[], sqlc.arg(rooms)::integer[], sqlc.narg(other_room)::integer,
  sqlc.arg(look)::boolean, sqlc.narg(host_after)::text) c;

-- name: GiveBackClaims :one
-- given_back is -1 while a claim has not ended.
select coalesce(g.given_back, -1)::integer as given_back, g.counts::text as counts
from taskrunner_private.give_back_claims(sqlc.arg(replica)::uuid, sqlc.arg(kept)::uuid[]) g;
