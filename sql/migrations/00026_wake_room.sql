-- +goose Up
-- It is told how many tasks its replica starts itself.
drop function if exists taskrunner_private.wake_limits;

-- +goose Down
