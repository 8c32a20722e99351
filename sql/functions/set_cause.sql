-- Says why the next statement changes rows (sql/README.md, "Causes"); '' takes it back. Only definer functions may
-- call it, and one that a client may call and that changes tasks without a cause of its own takes a forged one back
-- first: the triggers believe the setting only when current_user owns the schema.
-- Locks: none.
create or replace function taskrunner_private.set_cause(p_cause text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_cause text := set_config('taskrunner.cause', p_cause, true); -- an expression is evaluated at once, perform is a query
begin
end $$;
