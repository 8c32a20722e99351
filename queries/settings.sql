-- What the database keeps for all replicas: sql/functions/handle_key.sql and save_settings.sql.

-- name: HandleKey :one
select taskrunner_private.handle_key();

-- name: SaveSettings :one
select s.dead_end_cancel, s.webhook_max_attempts, s.start_max_attempts
from taskrunner_private.save_settings(sqlc.arg(dead_end_cancel)::boolean, sqlc.arg(webhook_max_attempts)::integer,
  sqlc.arg(start_max_attempts)::integer) s;
