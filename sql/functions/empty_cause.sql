-- A cause that a client set, in its session or inside the statement, is emptied here, before any trigger that
-- believes it (500 and up) fires. SECURITY INVOKER on purpose: current_user is whoever ran the statement, and only
-- the owner of the schema, as whom the engine's functions run, has CREATE on it.
-- Trigger function of *_400_cause on task, link and action.
create or replace function taskrunner_private.empty_cause() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(current_setting('taskrunner.cause', true), '') <> ''
    and not has_schema_privilege('taskrunner', 'CREATE')
  then
    perform set_config('taskrunner.cause', '', true);
  end if;
  return null;
end $$;
