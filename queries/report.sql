-- What remote sides say about their tasks (PATCH, PUT): sql/functions/report_tasks.sql and progress_tasks.sql.

-- name: ReportTasks :many
-- The counts are in each row.
select r.task_id::uuid as task_id, r.outcome::text as outcome, coalesce(r.current_status::text, '')::text as current_status, r.counts::text as counts
from taskrunner_private.report_tasks(sqlc.arg(reports)::jsonb) r;

-- name: ProgressTask :one
-- Sets the lock_timeout of its transaction before the function begins. Empty: not written, ProgressTasks says why.
select coalesce(taskrunner_private.progress_task(
  case when set_config('lock_timeout', sqlc.arg(lock_timeout)::text, true) is not null then sqlc.arg(task_id)::uuid end,
  sqlc.narg(attempt)::integer, sqlc.arg(new_success)::bigint, sqlc.arg(new_failures)::bigint)::text, '')::text as current_status;

-- name: ProgressTasks :many
-- Sets the lock_timeout of its transaction before the function begins. Attempt 0 stands for none.
select p.task_id::uuid as task_id, p.outcome::text as outcome, coalesce(p.current_status::text, '')::text as current_status
from taskrunner_private.progress_tasks(
  case when set_config('lock_timeout', sqlc.arg(lock_timeout)::text, true) is not null then sqlc.arg(task_ids)::uuid[] end,
  array(select nullif(a, 0) from unnest(sqlc.arg(attempts)::integer[]) a), sqlc.arg(new_success)::bigint[], sqlc.arg(new_failures)::bigint[]) p;
