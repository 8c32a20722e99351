-- Settled on_start calls: sql/functions/start_tasks.sql and fail_starts.sql.

-- name: StartTasks :many
select s.counts::text as counts, s.task_id::uuid as task_id, coalesce(s.refused, '')::text as refused
from taskrunner_private.start_tasks(sqlc.arg(tries)::jsonb) s;

-- name: FailStarts :many
select f.counts::text as counts
from taskrunner_private.fail_starts(sqlc.arg(replica)::uuid, sqlc.arg(tries)::jsonb, sqlc.arg(backoff_ms)::integer) f;
