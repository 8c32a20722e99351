-- POST /task: sql/functions/submit.sql, and in the same transaction what it created.

-- name: Submit :one
select s.task_ids::uuid[] as task_ids, s.counts::text as counts
from taskrunner_private.submit(sqlc.arg(batch_id)::uuid, sqlc.arg(body)::jsonb) s;

-- name: BatchTasks :many
-- The full tasks of a batch in insertion order. Columns as in FullTask.
select t.id, t.name, t.kind, t.status, t.timeout, t.rules, t.metadata, a.actions, t.created_at, t.last_updated,
  t.started_at, t.ended_at, t.wait_finished, t.wait_success, t.success, t.failures, t.expected_count, t.failure_reason,
  t.batch_id, b.name as batch_name, t.dead_end_barrier, t.priority, t.attempt, t.max_attempts, t.run_at
from taskrunner.task t
left join taskrunner.batch b on b.id = t.batch_id
cross join lateral (
  select json_agg(json_build_object('kind', m.kind, 'trigger', m.trigger, 'params', m.params) order by
    m.attempt is not null, case m.trigger when 'Start' then 0 when 'Cancel' then 3
      else case m.condition when 'Failure' then 1 else 2 end end, m.position, m.seq) as actions
  from taskrunner.action_masked m
  where m.task_id = t.id
) a
where t.batch_id = $1
order by t.seq;
