-- Says why the next statement changes rows (sql/README.md, "Causes"); '' takes it back. Only definer functions may
-- call it: the triggers believe the setting only when current_user owns the schema.
-- Locks: none.
create or replace function taskrunner_private.set_cause(p_cause text) returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('taskrunner.cause', p_cause, true);
end $$;
