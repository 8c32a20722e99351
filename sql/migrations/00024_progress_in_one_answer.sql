-- +goose Up
-- It answers with one row now.
drop function if exists taskrunner_private.progress_tasks;

-- +goose Down
