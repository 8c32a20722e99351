-- +goose Up
-- An answer of on_start that comes when its attempt has timed out has its cancel action called at once: so a task remembers
-- which of its attempts have. start_tasks returns what it refuses of the answers.
alter table taskrunner.task add column timed_out_attempts integer[];
drop function if exists taskrunner_private.start_tasks;

-- +goose Down
drop function if exists taskrunner_private.start_tasks;
alter table taskrunner.task drop column timed_out_attempts;
