-- What remote sides say about their tasks (PATCH, PUT, DELETE): sql/functions/report_tasks.sql, progress_tasks.sql and
-- cancel_task.sql.

-- name: ReportTasks :one
select r.outcome::text as outcome, coalesce(r.current_status::text, '')::text as current_status, r.counts::text as counts
from taskrunner_private.report_tasks(sqlc.arg(items)::jsonb) r;

-- name: ProgressTasks :one
select p.outcome::text as outcome, coalesce(p.current_status::text, '')::text as current_status
from taskrunner_private.progress_tasks(sqlc.arg(items)::jsonb) p;

-- name: CancelTask :exec
select from taskrunner.cancel_task(sqlc.arg(task_id)::uuid);

-- name: BeginCounts :exec
select taskrunner_private.begin_counts();

-- name: TakeCounts :one
select taskrunner_private.take_counts();
