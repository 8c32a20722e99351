-- +goose Up
-- When a replica last found no limit to look at (functions/wake_limits.sql): who makes room in one afterwards notifies it.
alter table taskrunner_private.replica add column idle_wake_at timestamptz;
-- It is told who looks now.
drop function if exists taskrunner_private.wake_limits;

-- +goose Down
alter table taskrunner_private.replica drop column idle_wake_at;
