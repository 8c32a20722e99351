-- POST /task: sql/functions/submit.sql, and in the same transaction what it created.

-- name: Submit :one
select s.task_ids::uuid[] as task_ids, s.counts::text as counts
from taskrunner_private.submit(sqlc.arg(batch_id)::uuid, sqlc.arg(body)::jsonb) s;

-- name: BatchTasks :many
-- The full tasks that a request created, in its order: they share the batch's moment, later ones do not. Columns as in
-- FullTask.
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
where t.batch_id = $1 and t.created_at = b.created_at
order by t.seq;

-- name: TakeIdempotencyKey :one
select k.taken::boolean as taken, k.batch_id::uuid as batch_id, k.status::smallint as status, k.body_hash::bytea as body_hash
from taskrunner_private.take_idempotency_key(sqlc.arg(token_name)::text, sqlc.arg(key)::text, sqlc.arg(body_hash)::bytea,
  sqlc.arg(batch_id)::uuid, sqlc.arg(life_secs)::integer) k;

-- name: NoteNothingCreated :exec
select taskrunner_private.note_nothing_created(sqlc.arg(token_name)::text, sqlc.arg(key)::text);

-- name: ValidGraph :exec
-- Ends in the error that lists the faults.
select from taskrunner_private.valid_graph(sqlc.arg(body)::jsonb, sqlc.arg(known)::jsonb);
