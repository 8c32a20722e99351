-- What is there: tasks, batches, graphs, broken invariants. Nothing here writes.

-- name: FullTask :one
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
  where m.task_id = t.id and (m.attempt is null or m.attempt = t.attempt)
) a
where t.id = $1;

-- name: FullTasks :many
-- As FullTask; each a look-up by index, whatever the plan was made for. From a subquery the planner does not see how many ids there are,
-- so that it keeps its plan: for one task it takes longer to make than to run.
select t.id, t.name, t.kind, t.status, t.timeout, t.rules, t.metadata, a.actions, t.created_at, t.last_updated,
  t.started_at, t.ended_at, t.wait_finished, t.wait_success, t.success, t.failures, t.expected_count, t.failure_reason,
  t.batch_id, b.name as batch_name, t.dead_end_barrier, t.priority, t.attempt, t.max_attempts, t.run_at
from unnest((select sqlc.arg(ids)::uuid[])) as wanted (id)
cross join lateral (select * from taskrunner.task x where x.id = wanted.id offset 0) t
left join lateral (select x.name from taskrunner.batch x where x.id = t.batch_id offset 0) b on true
cross join lateral (
  select json_agg(json_build_object('kind', m.kind, 'trigger', m.trigger, 'params', m.params) order by
    m.attempt is not null, case m.trigger when 'Start' then 0 when 'Cancel' then 3
      else case m.condition when 'Failure' then 1 else 2 end end, m.position, m.seq) as actions
  from taskrunner.action_masked m
  where m.task_id = t.id and (m.attempt is null or m.attempt = t.attempt)
) a;

-- name: BlockedBy :one
-- The rules that hold a task, as an array; null when none does.
select coalesce(taskrunner_private.blocked_by(sqlc.arg(task_id)::uuid), 'null')::jsonb as blocked_by;

-- name: Batch :one
-- Sums are capped at the largest int8. total_expected is -1 as soon as one task has none.
select b.id, b.name, b.metadata, b.dead_end_cancel, b.created_at,
  count(t.id) as total_tasks,
  least(coalesce(sum(t.success), 0), 9223372036854775807)::bigint as total_success,
  least(coalesce(sum(t.failures), 0), 9223372036854775807)::bigint as total_failures,
  (case when count(t.expected_count) < count(t.id) then -1
        else least(coalesce(sum(t.expected_count), 0), 9223372036854775807) end)::bigint as total_expected,
  count(*) filter (where t.status = 'Waiting') as waiting,
  count(*) filter (where t.status = 'Pending') as pending,
  count(*) filter (where t.status = 'Claimed') as claimed,
  count(*) filter (where t.status = 'Running') as running,
  count(*) filter (where t.status = 'Success') as success,
  count(*) filter (where t.status = 'Failure') as failure,
  count(*) filter (where t.status = 'Paused') as paused,
  count(*) filter (where t.status = 'Canceled') as canceled
from taskrunner.batch b
left join taskrunner.task t on t.batch_id = b.id
where b.id = $1
group by b.id;

-- name: TaskExists :one
select exists (select from taskrunner.task t where t.id = $1);

-- name: BatchExists :one
select exists (select from taskrunner.batch b where b.id = $1);

-- name: BatchLinks :many
-- Links with at least one end in the batch; inside tells those with both. "offset 0" makes look-ups of the joins: for a
-- small batch all links would be read otherwise.
select l.parent_id, l.child_id, l.requires_success, coalesce(c.batch_id = sqlc.arg(batch_id), false)::boolean as inside,
  p.seq as parent_seq, c.seq as child_seq
from taskrunner.task p
cross join lateral (select l.* from taskrunner.link l where l.parent_id = p.id offset 0) l
cross join lateral (select c.batch_id, c.seq from taskrunner.task c where c.id = l.child_id offset 0) c
where p.batch_id = sqlc.arg(batch_id)
union all
select l.parent_id, l.child_id, l.requires_success, false, p.seq, c.seq
from taskrunner.task c
cross join lateral (select l.* from taskrunner.link l where l.child_id = c.id offset 0) l
cross join lateral (select p.batch_id, p.seq from taskrunner.task p where p.id = l.parent_id offset 0) p
where c.batch_id = sqlc.arg(batch_id) and p.batch_id is distinct from sqlc.arg(batch_id)
order by parent_seq, child_seq;

-- name: BasicTasks :many
select t.id, t.name, t.kind, t.status, t.created_at, t.started_at, t.success, t.failures, t.expected_count, t.ended_at,
  t.batch_id, t.dead_end_barrier, t.priority
from taskrunner.task t
where t.batch_id = $1
order by t.created_at, t.seq;

-- name: ListTasks :many
select t.id, t.name, t.kind, t.status, t.created_at, t.started_at, t.success, t.failures, t.expected_count, t.ended_at,
  t.batch_id, t.dead_end_barrier, t.priority, t.seq
from taskrunner_private.list_tasks(sqlc.narg(status)::taskrunner.status_kind, sqlc.narg(batch_id)::uuid,
  sqlc.narg(name)::text, sqlc.narg(kind)::text, sqlc.narg(timeout)::integer, sqlc.narg(metadata)::jsonb,
  sqlc.narg(before)::timestamptz, sqlc.narg(before_seq)::bigint, sqlc.arg(skip)::bigint, sqlc.arg(most)::integer) t;

-- name: ListBatches :many
select b.batch_id::uuid as batch_id, coalesce(b.batch_name, '')::text as batch_name,
  (b.batch_name is not null)::boolean as named, b.created_at::timestamptz as created_at, b.seq::bigint as seq,
  b.total_tasks::bigint as total_tasks, b.first_created_at::timestamptz as first_created_at,
  b.latest_updated_at::timestamptz as latest_updated_at, b.waiting::bigint as waiting, b.pending::bigint as pending,
  b.claimed::bigint as claimed, b.running::bigint as running, b.success::bigint as success, b.failure::bigint as failure,
  b.paused::bigint as paused, b.canceled::bigint as canceled, b.kinds::text[] as kinds
from taskrunner_private.list_batches(sqlc.narg(status)::taskrunner.status_kind, sqlc.narg(name)::text,
  sqlc.narg(kind)::text, sqlc.narg(since)::timestamptz, sqlc.narg(until)::timestamptz,
  sqlc.narg(before)::timestamptz, sqlc.narg(before_seq)::bigint, sqlc.arg(skip)::bigint, sqlc.arg(most)::integer) b;

-- name: CheckInvariants :many
select i.invariant::text as invariant, i.detail::text as detail
from taskrunner.check_invariants() i;

-- name: Why :many
select w.reason::text as reason, w.detail::text as detail
from taskrunner.why(sqlc.arg(task_id)::uuid) w;
