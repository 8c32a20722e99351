-- +goose Up
-- Functions that have given way to others: a request is judged with all its faults at once.
drop function if exists taskrunner_private.submit_errors(jsonb, jsonb);
drop function if exists taskrunner_private.valid_tasks(jsonb);
drop function if exists taskrunner_private.dependency_error(jsonb);
drop function if exists taskrunner_private.webhook_error_code(text);
drop function if exists taskrunner_private.raise_cycle(jsonb, integer[], integer[], integer[]);
drop function if exists taskrunner_private.submit_links;

-- +goose Down
select 1;
