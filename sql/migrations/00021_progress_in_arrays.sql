-- +goose Up
-- Its items come as arrays now.
drop function if exists taskrunner_private.progress_tasks;

-- +goose Down
