-- What remote sides say about their tasks (PATCH, PUT): sql/functions/report_tasks.sql and progress_tasks.sql.

-- name: ReportTasks :one
select r.outcome::text as outcome, coalesce(r.current_status::text, '')::text as current_status, r.counts::text as counts
from taskrunner_private.report_tasks(sqlc.arg(items)::jsonb) r;

-- name: ProgressTasks :one
select p.outcome::text as outcome, coalesce(p.current_status::text, '')::text as current_status
from taskrunner_private.progress_tasks(sqlc.arg(items)::jsonb) p;
