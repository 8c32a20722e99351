-- +goose Up
-- Tasks of which a child has ended, and which are to be canceled if it was the last one (contract 6.3). No unique key: the
-- ends of two children would wait for each other. No row is looked for; they are taken from the front.
create table taskrunner_private.dead_end_check (
  id bigint not null generated always as identity,
  task_id uuid not null,
  constraint dead_end_check_pkey primary key (id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);
insert into taskrunner_private.chore (name) values ('drain_dead_ends');

-- "Does any batch want it": asked whenever tasks end.
create index batch_dead_end_idx on taskrunner.batch (id) where dead_end_cancel;

-- +goose Down
drop index taskrunner.batch_dead_end_idx;
delete from taskrunner_private.chore where name = 'drain_dead_ends';
drop table taskrunner_private.dead_end_check;
