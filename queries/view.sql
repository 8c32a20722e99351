-- What the web page looks at. Tasks come in the order of their insertion, by task_batch_idx.

-- name: ViewBatch :one
select b.name, b.created_at, clock_timestamp()::timestamptz as now from taskrunner.batch b where b.id = $1;

-- name: ViewTasks :many
select t.seq, t.status, t.priority, t.success, t.failures, t.expected_count, t.started_at, t.ended_at, t.id, t.name, t.kind, t.created_at
from taskrunner.task t
where t.batch_id = sqlc.arg(batch_id)
order by t.created_at, t.seq
limit sqlc.arg(most);

-- name: ViewStates :many
select t.seq, t.status, t.priority, t.success, t.failures, t.expected_count, t.started_at, t.ended_at
from taskrunner.task t
where t.batch_id = sqlc.arg(batch_id)
order by t.created_at, t.seq
limit sqlc.arg(most);

-- name: ViewLinks :many
-- Links with at least one end in the batch; as BatchLinks.
select l.parent_id, l.child_id, l.requires_success
from taskrunner.task p
cross join lateral (select l.* from taskrunner.link l where l.parent_id = p.id offset 0) l
where p.batch_id = sqlc.arg(batch_id)
union all
select l.parent_id, l.child_id, l.requires_success
from taskrunner.task c
cross join lateral (select l.* from taskrunner.link l where l.child_id = c.id offset 0) l
cross join lateral (select p.batch_id from taskrunner.task p where p.id = l.parent_id offset 0) p
where c.batch_id = sqlc.arg(batch_id) and p.batch_id is distinct from sqlc.arg(batch_id)
limit sqlc.arg(most);

-- name: CountViewLinks :one
-- Those of which the parent is in the batch: an index has them.
select count(*) as links
from taskrunner.task p
cross join lateral (select from taskrunner.link l where l.parent_id = p.id offset 0) l
where p.batch_id = sqlc.arg(batch_id);

-- name: WatchBatch :one
-- Told of the next change, and whether there was none since the last time; it writes, and so does UnwatchBatch.
select taskrunner_private.watch_batch(sqlc.arg(replica)::uuid, sqlc.arg(batch_id)::uuid)::boolean as unchanged;

-- name: UnwatchBatch :exec
select taskrunner_private.unwatch_batch(sqlc.arg(replica)::uuid, sqlc.arg(batch_id)::uuid);

-- name: ViewParents :many
-- Some of the tasks that this one waits for, and the same of those that wait for it.
select p.id, p.name, p.kind, p.status, p.batch_id, l.requires_success
from (select k.* from taskrunner.link k where k.child_id = sqlc.arg(task_id) limit sqlc.arg(most)) l
cross join lateral (select x.* from taskrunner.task x where x.id = l.parent_id offset 0) p
order by p.seq;

-- name: ViewChildren :many
select c.id, c.name, c.kind, c.status, c.batch_id, l.requires_success
from (select k.* from taskrunner.link k where k.parent_id = sqlc.arg(task_id) limit sqlc.arg(most)) l
cross join lateral (select x.* from taskrunner.task x where x.id = l.child_id offset 0) c
order by c.seq;

-- name: ViewParked :many
select p.words::text as words, coalesce(p.rule, 'null')::jsonb as rule, p.waiting::bigint as waiting
from taskrunner_private.parked_limits() p;

-- name: ViewReplicas :many
select r.id, r.name, r.version, extract(epoch from clock_timestamp() - r.heartbeat_at)::double precision as silence
from taskrunner_private.replica r
where isfinite(r.heartbeat_at)
order by r.name, r.id
limit 100;

-- name: ViewEnded :many
-- How many tasks have ended in each minute since one of them. An index has them.
select date_trunc('minute', e.ended_at)::timestamptz as minute, count(*) as ended
from taskrunner_private.ended_task e
where e.ended_at >= greatest(sqlc.arg(since)::timestamptz, date_trunc('minute', now()) - interval '14 minutes')
group by 1;

-- name: ViewNow :one
select clock_timestamp()::timestamptz as now;
