-- +goose Up
-- Webhook hosts that have no room for calls now must not stand before the others in the queues: those are then looked up by
-- host. Hosts are compared by their bytes, which is what URLs are made of and costs a fraction.
alter table taskrunner_private.queued_task alter column host type text collate "C";
alter table taskrunner_private.due_delivery alter column host type text collate "C";
create index queued_task_host_idx on taskrunner_private.queued_task (host, priority desc, seq) where state = 'ready' and not has_rules;
create index due_delivery_host_idx on taskrunner_private.due_delivery (host, next_try_at);
-- The hosts to which a replica makes no further call now, and why (functions/tick.sql).
alter table taskrunner_private.replica add column held_hosts jsonb not null default '[]';

-- They have other parameters or results now.
drop function if exists taskrunner_private.claim_candidates, taskrunner_private.claim_tasks, taskrunner_private.claim_deliveries,
  taskrunner_private.decide_candidates, taskrunner_private.put_off, taskrunner_private.tick;

-- +goose Down
alter table taskrunner_private.replica drop column held_hosts;
drop index taskrunner_private.due_delivery_host_idx, taskrunner_private.queued_task_host_idx;
alter table taskrunner_private.due_delivery alter column host type text collate "default";
alter table taskrunner_private.queued_task alter column host type text collate "default";
