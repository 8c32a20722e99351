-- +goose Up
-- The trace that a webhook belongs to (W3C Trace Context): that of the request that creates it, which says so by the setting, or what
-- an SQL client has put there. Whoever calls the webhook judges it. Null takes no room; only new rows get the default.
alter table taskrunner.action add column traceparent text;
alter table taskrunner.action alter column traceparent set default nullif(left(current_setting('taskrunner.traceparent', true), 55), '');

-- They return it.
drop function if exists taskrunner_private.claim_tasks;
drop function if exists taskrunner_private.claim_deliveries;

-- +goose Down
alter table taskrunner.action drop column traceparent;
