-- +goose Up
-- Lists are in the order of created_at and seq, so are the tasks of a batch: GET /task with batch_id, GET /dag, and
-- whether a batch holds tasks created within an interval (GET /batches).
drop index taskrunner.task_batch_idx;
create index task_batch_idx on taskrunner.task (batch_id, created_at, seq);
-- GET /batches: newest first, page by cursor.
create index batch_created_idx on taskrunner.batch (created_at, seq);

-- +goose Down
drop index taskrunner.batch_created_idx, taskrunner.task_batch_idx;
create index task_batch_idx on taskrunner.task (batch_id, seq);
