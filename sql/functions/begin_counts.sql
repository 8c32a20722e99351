-- Turns counting on for the rest of this transaction, until take_counts.
-- Locks: none. Called by the functions that replicas call, at their beginning.
create or replace function taskrunner_private.begin_counts() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  select set_config('taskrunner.counts', E'\n', true);
$$;
