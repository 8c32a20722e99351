-- +goose Up
-- What a dedupe matcher looks for: tasks of a kind and status, the newest first. The kind by hash, because it may be long.
create index queued_task_kind_idx on taskrunner_private.queued_task (hashtextextended(kind, 0), state, seq);
create index ended_task_kind_idx on taskrunner_private.ended_task (hashtextextended(kind, 0), status, seq);
-- Tasks of a kind whose metadata has some values: the kind is part of the path to each of them, so that tasks of other kinds with
-- the same values are not read. Each search reads all of the list of what is not sorted in yet.
create index task_kind_metadata_idx on taskrunner.task using gin (jsonb_set('{}', array[kind], metadata) jsonb_path_ops)
  with (gin_pending_list_limit = 256) where jsonb_typeof(metadata) = 'object';
drop function if exists taskrunner_private.live_tasks;

-- +goose Down
drop index taskrunner.task_kind_metadata_idx, taskrunner_private.ended_task_kind_idx, taskrunner_private.queued_task_kind_idx;
