-- +goose Up
-- Gates in the order of their best tasks, so that a limit for which very many wait finds the next one at once. A bound: no task that
-- is parked there comes earlier, but the one that gave it may be gone (functions/unpark.sql). At first it says nothing, and is mended
-- when it is seen.
alter table taskrunner_private.gate
  add column best_priority integer not null default 2147483647,
  add column best_seq bigint not null default 0;
create index gate_best_idx on taskrunner_private.gate (blocked_by, is_capacity, best_priority desc, best_seq, maximum);
drop index taskrunner_private.gate_blocked_idx;

-- +goose Down
create index gate_blocked_idx on taskrunner_private.gate (blocked_by);
drop index taskrunner_private.gate_best_idx;
alter table taskrunner_private.gate drop column best_seq, drop column best_priority;
