-- +goose Up
-- Who schedules a task for an earlier moment than any replica is going to look has to wake one
-- (triggers/queued_task_900_notify_insert.sql).
alter table taskrunner_private.replica add column next_pulse_at timestamptz;

-- +goose Down
alter table taskrunner_private.replica drop column next_pulse_at;
