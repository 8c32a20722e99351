-- Whether the statement at work is one of the engine that says its cause. As is_progress.sql, and SECURITY INVOKER for the same reason.
-- Called by: conditions of task_150_rules_insert, task_150_rules_update.
create or replace function taskrunner_private.is_engine() returns boolean
language plpgsql stable as $$
begin
  return case when pg_catalog.current_setting('taskrunner.cause', true) operator(pg_catalog.<>) ''
    then pg_catalog.has_schema_privilege('taskrunner', 'CREATE') else false end;
end $$;
