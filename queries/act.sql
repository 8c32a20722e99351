-- What people do to tasks and batches: sql/functions/cancel_task.sql, pause_task.sql, resume_task.sql, stop_batch.sql,
-- change_batch_rules.sql.
-- Status changes are counted around these functions, because clients call them too.

-- name: CancelTask :exec
select from taskrunner.cancel_task(sqlc.arg(task_id)::uuid);

-- name: PauseTask :exec
select from taskrunner.pause_task(sqlc.arg(task_id)::uuid);

-- name: ResumeTask :exec
select from taskrunner.resume_task(sqlc.arg(task_id)::uuid);

-- name: StopBatch :one
select s.batch_id::uuid as batch_id, s.canceled_waiting::bigint as canceled_waiting,
  s.canceled_pending::bigint as canceled_pending, s.canceled_claimed::bigint as canceled_claimed,
  s.canceled_running::bigint as canceled_running, s.canceled_paused::bigint as canceled_paused,
  s.already_terminal::bigint as already_terminal
from taskrunner.stop_batch(sqlc.arg(batch_id)::uuid) s;

-- name: ChangeBatchRules :one
select taskrunner_private.change_batch_rules(sqlc.arg(batch_id)::uuid, sqlc.arg(body)::jsonb);

-- name: BeginCounts :exec
select taskrunner_private.begin_counts();

-- name: TakeCounts :one
select taskrunner_private.take_counts();
