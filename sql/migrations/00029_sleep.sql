-- +goose Up
-- Loops say themselves that they sleep (functions/fall_asleep.sql), and the pulse no longer does it for them.
drop function if exists taskrunner_private.tick;

-- +goose Down
