-- What remote sides say about their tasks (PATCH, PUT): sql/functions/report_tasks.sql and progress_tasks.sql.

-- name: ReportTasks :many
-- The counts are in the first row.
select r.task_id::uuid as task_id, r.outcome::text as outcome, coalesce(r.current_status::text, '')::text as current_status, r.counts::text as counts
from taskrunner_private.report_tasks(sqlc.arg(reports)::jsonb) r;

-- name: ProgressTask :one
-- Sets the lock_timeout of its transaction before the function begins. Empty: not written, ProgressTasks says why.
select coalesce(taskrunner_private.progress_task(
  case when set_config('lock_timeout', sqlc.arg(lock_timeout)::text, true) is not null then sqlc.arg(task_id)::uuid end,
  sqlc.narg(attempt)::integer, sqlc.arg(new_success)::bigint, sqlc.arg(new_failures)::bigint)::text, '')::text as current_status;

-- name: ProgressTasks :one
-- Sets the lock_timeout of its transaction before the function begins. Attempt 0 stands for none. How many were written, and all others.
select p.written::integer as written, coalesce(p.task_ids, '{}')::uuid[] as task_ids, coalesce(p.outcomes, '{}')::text[] as outcomes,
  coalesce(p.current_statuses, '{}')::text[] as current_statuses
from taskrunner_private.progress_tasks(
  case when set_config('lock_timeout', sqlc.arg(lock_timeout)::text, true) is not null then sqlc.arg(task_ids)::uuid[] end,
  sqlc.arg(attempts)::integer[], sqlc.arg(new_success)::bigint[], sqlc.arg(new_failures)::bigint[]) p;
