-- What was counted since begin_counts, one JSON array per line (triggers/task_800_count.sql, add_count.sql). Clears it.
-- Counting is off unless begin_counts was called in this transaction, so that a client's long transaction never
-- carries a growing setting along.
-- Locks: none. Called by the functions that replicas call, at their end.
create or replace function taskrunner_private.take_counts() returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_counts text := coalesce(current_setting('taskrunner.counts', true), '');
  v_cleared text := set_config('taskrunner.counts', '', true);
begin
  return substr(v_counts, 2);
end $$;
