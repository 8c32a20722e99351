-- +goose Up
-- What the engine keeps for itself. Queue-like tables have no foreign keys (they would lock rows and cost a look-up
-- per row); check_invariants() watches them instead. They are vacuumed by a fixed number of dead rows and never
-- truncated, because truncation takes an exclusive lock.

-- Every task that is neither active nor ended.
create table taskrunner_private.queued_task (
  task_id uuid not null,
  seq bigint not null,
  created_at timestamptz not null,
  run_at timestamptz,
  priority integer not null,
  state taskrunner_private.queue_state not null,
  kind text not null,
  host text,                                                 -- host and port of its Start action
  constraint queued_task_pkey primary key (task_id),
  constraint queued_task_run_at_check check (state <> 'scheduled' or run_at is not null)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);

-- Every active task: Claimed, Running, or paused from one of these. Claimed -> Running writes nothing here.
create table taskrunner_private.active_task (
  task_id uuid not null,
  seq bigint not null,
  created_at timestamptz not null,
  claimed_at timestamptz not null,
  due_at timestamptz not null,                               -- when to look at it again; a heartbeat never moves it
  replica_id uuid,                                           -- null: claimed by SQL
  kind text not null,
  constraint active_task_pkey primary key (task_id)
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);

-- Every ended task, insert-only: lists by status and retention.
create table taskrunner_private.ended_task (
  task_id uuid not null,
  seq bigint not null,
  created_at timestamptz not null,
  ended_at timestamptz not null,
  status taskrunner.status_kind not null,
  kind text not null,
  constraint ended_task_pkey primary key (task_id),
  constraint ended_task_status_check check (status in ('Success', 'Failure', 'Canceled'))
);

-- One row per webhook that is owed (End, Cancel) or was tried (Start). The key that receivers see is made of
-- task_id, trigger, condition, number and task_attempt (functions/delivery_key.sql), so it is unique by the index.
-- Sending is never stored: it is a lease in due_delivery, or the claim of the task.
create table taskrunner_private.delivery (
  id uuid not null default taskrunner.uuidv7(),
  task_id uuid not null,
  batch_id uuid,
  action_id uuid not null,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  first_try_at timestamptz,                                  -- the first try; later ones are rows of delivery_try
  number integer not null,                                   -- n-th action of its event, from 1
  task_attempt integer not null,
  tries integer not null default 0,
  max_tries integer not null,
  last_status_code integer,
  first_latency_ms integer,
  first_status_code integer,
  trigger taskrunner.trigger_kind not null,
  condition taskrunner.trigger_condition,
  status taskrunner.delivery_status not null default 'Pending',
  last_error text,
  first_error text,
  first_response text,
  constraint delivery_pkey primary key (id),
  constraint delivery_status_check check (status <> 'Sending'),
  constraint delivery_condition_check check ((trigger = 'End') = (condition is not null)),
  constraint delivery_tries_check check (tries >= 0 and max_tries >= 1),
  constraint delivery_finished_at_check check ((status = 'Pending') = (finished_at is null))
) with (fillfactor = 80);

create table taskrunner_private.delivery_try (
  delivery_id uuid not null,
  number integer not null,                                   -- from 2
  at timestamptz not null,
  status_code integer,
  latency_ms integer not null,
  error text,
  response text,
  constraint delivery_try_pkey primary key (delivery_id, number),
  constraint delivery_try_delivery_id_fkey foreign key (delivery_id)
    references taskrunner_private.delivery (id) on delete cascade
);

-- End and Cancel deliveries that wait for a try. A lease says who is sending.
create table taskrunner_private.due_delivery (
  delivery_id uuid not null,
  next_try_at timestamptz not null,
  leased_until timestamptz,
  leased_by uuid,
  host text,
  constraint due_delivery_pkey primary key (delivery_id),
  constraint due_delivery_lease_check check ((leased_by is null) = (leased_until is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);

-- Running processes. Unlogged: after a crash of the server they register again with their next tick.
-- A loop that goes to sleep stamps its column; older than 3 s does not count (functions/notify_if_idle.sql).
create unlogged table taskrunner_private.replica (
  id uuid not null,
  name text not null,
  version text not null,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null,
  idle_start_at timestamptz,
  idle_deliver_at timestamptz,
  idle_chores_at timestamptz,
  free_slots integer not null default 0,
  constraint replica_pkey primary key (id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

-- Keeps chores from running more often than needed (functions/tick.sql).
create table taskrunner_private.chore (
  name text not null,
  next_at timestamptz not null default '-infinity',
  constraint chore_pkey primary key (name)
) with (fillfactor = 50);
insert into taskrunner_private.chore (name) values ('sweep_active'), ('sweep_replicas'), ('release_scheduled');

-- Settings that triggers need; written by serve at its start, the last start wins.
create table taskrunner_private.server_setting (
  singleton boolean not null default true,
  dead_end_cancel boolean not null default false,
  webhook_max_attempts integer not null default 10,
  start_max_attempts integer not null default 3,
  constraint server_setting_pkey primary key (singleton),
  constraint server_setting_singleton_check check (singleton),
  constraint server_setting_attempts_check check (webhook_max_attempts >= 1 and start_max_attempts >= 1)
);
insert into taskrunner_private.server_setting default values;

-- The key of handle tokens: 244 bits from the server's strong random source.
create table taskrunner_private.secret (
  name text not null,
  value bytea not null,
  constraint secret_pkey primary key (name)
);
insert into taskrunner_private.secret (name, value)
values ('handle', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

-- Which code (functions, triggers, views, grants) this database holds; see internal/migrate.
create table taskrunner_private.code_version (
  singleton boolean not null default true,
  revision integer not null,
  hash text not null,
  roles_hash text not null,
  applied_at timestamptz not null default now(),
  constraint code_version_pkey primary key (singleton),
  constraint code_version_singleton_check check (singleton)
);

-- +goose Down
drop table taskrunner_private.code_version, taskrunner_private.secret, taskrunner_private.server_setting,
  taskrunner_private.chore, taskrunner_private.replica, taskrunner_private.due_delivery,
  taskrunner_private.delivery_try, taskrunner_private.delivery, taskrunner_private.ended_task,
  taskrunner_private.active_task, taskrunner_private.queued_task;
