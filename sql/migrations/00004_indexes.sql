-- +goose Up
-- Every index with the statement that needs it.

-- GET /batch, GET /dag, stop_batch: the tasks of a batch in order.
create index task_batch_idx on taskrunner.task (batch_id, seq);
-- GET /task: newest first, page by cursor.
create index task_created_idx on taskrunner.task (created_at, seq);
-- The metadata filter (containment).
create index task_metadata_idx on taskrunner.task using gin (metadata jsonb_path_ops);
-- Parents of a task; the primary key answers for children.
create index link_child_idx on taskrunner.link (child_id);
-- Actions of a task. Also: at most one Start action per task, because all others are null in the second column; and
-- "has it any other action" is answered without reading the Start row.
create unique index action_task_idx on taskrunner.action
  (task_id, (case when trigger = 'Start' then true end));

-- The claim.
create index queued_task_ready_idx on taskrunner_private.queued_task (priority desc, seq) where state = 'ready';
-- Release of scheduled tasks.
create index queued_task_scheduled_idx on taskrunner_private.queued_task (run_at) where state = 'scheduled';
-- Lists and gauges by state; ready ones are sorted when listed.
create index queued_task_held_idx on taskrunner_private.queued_task (state, created_at, seq) where state <> 'ready';
-- Timeouts and stale claims.
create index active_task_due_idx on taskrunner_private.active_task (due_at);
-- Claims of a dead replica.
create index active_task_replica_idx on taskrunner_private.active_task (replica_id);
-- Lists by a rare status beside millions of others.
create index ended_task_status_idx on taskrunner_private.ended_task (status, created_at, seq);
-- Retention.
create index ended_task_ended_idx on taskrunner_private.ended_task (ended_at);

-- Deliveries of a task, and the uniqueness of idempotency keys.
create unique index delivery_key_idx on taskrunner_private.delivery
  (task_id, trigger, condition, number, task_attempt) nulls not distinct;
-- Lists of deliveries.
create index delivery_created_idx on taskrunner_private.delivery (created_at, id);
-- The claim of deliveries.
create index due_delivery_next_idx on taskrunner_private.due_delivery (next_try_at);

-- +goose Down
drop index taskrunner.task_batch_idx, taskrunner.task_created_idx, taskrunner.task_metadata_idx,
  taskrunner.link_child_idx, taskrunner.action_task_idx,
  taskrunner_private.queued_task_ready_idx, taskrunner_private.queued_task_scheduled_idx,
  taskrunner_private.queued_task_held_idx, taskrunner_private.active_task_due_idx,
  taskrunner_private.active_task_replica_idx, taskrunner_private.ended_task_status_idx,
  taskrunner_private.ended_task_ended_idx, taskrunner_private.delivery_key_idx,
  taskrunner_private.delivery_created_idx, taskrunner_private.due_delivery_next_idx;
