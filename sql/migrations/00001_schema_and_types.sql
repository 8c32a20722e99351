-- +goose Up
-- The schemas, the enum types and the one function that column defaults use.
-- Code that can be replaced (functions, triggers, views, grants) is not here: see sql/README.md.

-- taskrunner holds what clients may use; taskrunner_private everything else.
create schema if not exists taskrunner;
create schema if not exists taskrunner_private;

create type taskrunner.status_kind as enum
  ('Waiting', 'Pending', 'Claimed', 'Running', 'Failure', 'Success', 'Paused', 'Canceled');
create type taskrunner.action_kind as enum ('Webhook');
create type taskrunner.trigger_kind as enum ('Start', 'End', 'Cancel');
create type taskrunner.trigger_condition as enum ('Success', 'Failure');
create type taskrunner.delivery_status as enum ('Pending', 'Sending', 'Delivered', 'Failed', 'Canceled');

-- Where a task that is neither active nor ended stands (queued_task.state).
create type taskrunner_private.queue_state as enum ('waiting', 'ready', 'scheduled', 'parked', 'paused');

-- UUID version 7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, the rest random, so that new rows arrive at the right
-- end of the index. It stands in a migration because column defaults depend on it.
create function taskrunner.uuidv7() returns uuid
language sql volatile parallel safe
return encode(
  set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
      from 1 for 6),
    52, 1), 53, 1),
  'hex')::uuid;
revoke all on function taskrunner.uuidv7() from public;

-- +goose Down
drop schema taskrunner cascade;
drop type taskrunner_private.queue_state;
