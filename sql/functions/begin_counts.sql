-- Turns counting on for the rest of this transaction, until take_counts.
-- Locks: none. Called by the functions that replicas call, at their beginning.
create or replace function taskrunner_private.begin_counts() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_counts text;
begin                                                        -- not sql, which would be planned anew for each call
  v_counts := set_config('taskrunner.counts', E'\n', true);  -- an expression is evaluated at once, perform is a query
end $$;
