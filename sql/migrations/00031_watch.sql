-- +goose Up
-- Which replica wants to hear of the next change of a batch, because people look at it (functions/watch_batch.sql). It has no key:
-- rows that expire stand beside those that replace them.
create unlogged table taskrunner_private.watch (
  replica_id uuid not null,
  batch_id uuid not null,
  expires_at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);
create index watch_batch_idx on taskrunner_private.watch (batch_id);

-- +goose Down
drop table taskrunner_private.watch;
