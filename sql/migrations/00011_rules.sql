-- +goose Up
-- Rules: how many tasks of a kind may be active at once. A shape is a matcher's kind and its fields, sorted and distinct; a limit
-- is a shape with values for the fields, known by a hash of both (functions/limit_id.sql).

-- Shapes that are counted. Every active task has a slot in each limit of its kind's shapes.
create table taskrunner_private.limit_shape (
  id integer not null generated always as identity,
  kind text not null,
  fields text[] not null,
  constraint limit_shape_pkey primary key (id)
);
-- By hash, because a rule may name a kind and fields of any length.
create unique index limit_shape_key on taskrunner_private.limit_shape (hashtextextended(kind, 0), hash_array_extended(fields, 0));
create index limit_shape_kind_idx on taskrunner_private.limit_shape using hash (kind);

-- Shapes that rules name and that are to be counted from now on.
create table taskrunner_private.shape_request (
  id bigint not null generated always as identity,
  next_at timestamptz not null default now(),                -- when to try (again)
  tries integer not null default 0,                          -- in vain, because somebody held a task of the kind
  kind text not null,
  fields text[] not null,
  constraint shape_request_pkey primary key (id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);
insert into taskrunner_private.chore (name) values ('register_shapes'), ('wake_limits'), ('recheck_limits');

-- One row per limit and active task: never a counter.
create table taskrunner_private.slot (
  limit_id bigint not null,
  task_id uuid not null,
  constraint slot_pkey primary key (limit_id, task_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);
create index slot_task_idx on taskrunner_private.slot (task_id);

-- Stripes: rows that stand for limits in locking, limit_id & 16383. Never written.
create table taskrunner_private.limit_lock (
  stripe integer not null,
  constraint limit_lock_pkey primary key (stripe)
);
insert into taskrunner_private.limit_lock (stripe) select generate_series(0, 16383);

-- A set of requirements: tasks with that set are parked there together, and all of them wait for one limit.
create table taskrunner_private.gate (
  id bigint not null,
  limit_ids bigint[] not null,                               -- of all its requirements
  blocked_by bigint not null,                                -- the limit it waits for, and what that has to keep
  maximum bigint not null,
  is_capacity boolean not null,
  constraint gate_pkey primary key (id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);
create index gate_blocked_idx on taskrunner_private.gate (blocked_by);
create index gate_capacity_idx on taskrunner_private.gate (id) where is_capacity;

-- Limits where room may have appeared. Taken from the front.
create table taskrunner_private.wake (
  id bigint not null generated always as identity,
  limit_id bigint not null,
  constraint wake_pkey primary key (id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);

alter table taskrunner_private.queued_task
  add column gate_id bigint,                                 -- parked there, or a probe of it
  add column limit_id bigint,                                -- a probe: ready, because this limit had room
  add column has_rules boolean not null default false,
  add column put_off smallint not null default 0,            -- how often a claim could not decide and put it off
  add constraint queued_task_limit_id_check check (limit_id is null or state = 'ready');

-- The claim: tasks without rules, whatever stands in front of them; tasks with rules.
drop index taskrunner_private.queued_task_ready_idx;
create index queued_task_ready_idx on taskrunner_private.queued_task (priority desc, seq) where state = 'ready' and not has_rules;
create index queued_task_ruled_idx on taskrunner_private.queued_task (priority desc, seq) where state = 'ready' and has_rules;
-- The best tasks that wait at a gate; gates without tasks.
create index queued_task_gate_idx on taskrunner_private.queued_task (gate_id, priority desc, seq) where gate_id is not null;
-- The probes of a limit.
create index queued_task_limit_idx on taskrunner_private.queued_task (limit_id) where limit_id is not null;

-- Their results have other columns now.
drop function if exists taskrunner_private.claim_candidates;
drop function if exists taskrunner_private.claim_tasks;

-- +goose Down
drop index taskrunner_private.queued_task_limit_idx, taskrunner_private.queued_task_gate_idx,
  taskrunner_private.queued_task_ruled_idx, taskrunner_private.queued_task_ready_idx;
alter table taskrunner_private.queued_task
  drop constraint queued_task_limit_id_check, drop column put_off, drop column has_rules, drop column limit_id, drop column gate_id;
create index queued_task_ready_idx on taskrunner_private.queued_task (priority desc, seq) where state = 'ready';
drop table taskrunner_private.wake, taskrunner_private.gate, taskrunner_private.limit_lock, taskrunner_private.slot,
  taskrunner_private.shape_request, taskrunner_private.limit_shape;
delete from taskrunner_private.chore where name in ('register_shapes', 'wake_limits', 'recheck_limits');
