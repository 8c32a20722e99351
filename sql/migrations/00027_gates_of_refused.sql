-- +goose Up
-- The decision tells the gates of the tasks that it refuses, so that parking does not find out again.
drop function if exists taskrunner_private.admit;
drop function if exists taskrunner_private.park;

-- +goose Down
