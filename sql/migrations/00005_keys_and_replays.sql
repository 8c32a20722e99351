-- +goose Up
-- Idempotency-Keys of POST /task, and replays of deliveries.

-- One row per key that was used and is not forgotten yet. It is written first in the transaction that creates the
-- tasks, so a request that repeats a key waits here for the outcome of the first.
create table taskrunner_private.idempotency_key (
  token_name text not null,                                  -- of the bearer token, '' without one
  key text not null,
  created_at timestamptz not null default now(),
  batch_id uuid not null,
  status smallint not null default 201,                      -- of the answer
  body_hash bytea not null,                                  -- SHA-256 of the request's bytes
  constraint idempotency_key_pkey primary key (token_name, key),
  constraint idempotency_key_key_check check (char_length(key) between 1 and 255),
  constraint idempotency_key_status_check check (status in (201, 204)),
  constraint idempotency_key_body_hash_check check (octet_length(body_hash) = 32)
);
-- Expired keys.
create index idempotency_key_created_idx on taskrunner_private.idempotency_key (created_at);
insert into taskrunner_private.chore (name) values ('delete_idempotency_keys');

-- Deliveries that were given up, and Start deliveries that wait for another try: to find them beside millions of
-- delivered ones. The delivery itself has no index on its status, so that settling one stays a HOT update.
create table taskrunner_private.troubled_delivery (
  created_at timestamptz not null,                           -- of the delivery
  delivery_id uuid not null,
  constraint troubled_delivery_pkey primary key (created_at, delivery_id)
);
insert into taskrunner_private.troubled_delivery (created_at, delivery_id)
select created_at, id from taskrunner_private.delivery
where status = 'Failed' or trigger = 'Start' and status = 'Pending';

-- Tries made before the last replay: they are in the log, and count neither for the limit nor for the pauses.
alter table taskrunner_private.delivery
  add column tries_before integer not null default 0,
  add constraint delivery_tries_before_check check (tries_before between 0 and tries and tries_before < max_tries);

-- +goose Down
alter table taskrunner_private.delivery drop column tries_before;
drop table taskrunner_private.troubled_delivery, taskrunner_private.idempotency_key;
delete from taskrunner_private.chore where name = 'delete_idempotency_keys';
