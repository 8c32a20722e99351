-- The first thing that is wrong with the params of a webhook, or null.
-- Locks: none. Called by: triggers/action_100_guard_insert.sql.
create or replace function taskrunner_private.webhook_error(p_params jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select f.message from taskrunner_private.webhook_errors(p_params) f order by f.place, f.message collate "C" limit 1
$$;
