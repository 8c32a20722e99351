-- Whether the statement at work is the engine's and only counts progress: then the triggers of task that follow states and
-- queues have nothing to do. A function, because PostgreSQL reads the condition of every trigger anew for each statement, and
-- this one was read four times; a call is cheaper than the text.
-- SECURITY INVOKER on purpose: current_user is whoever runs the statement, and only the owner of the schema, as whom the
-- engine's functions run, has CREATE on it. Everything is named in full instead of a fixed search_path, which would cost more
-- than the rest: the search_path is that of the client.
-- Called by: conditions of task_500_propagate, task_600_queue_update, task_700_outbox, task_800_count.
create or replace function taskrunner_private.is_progress() returns boolean
language plpgsql stable as $$
begin
  return case when pg_catalog.current_setting('taskrunner.cause', true) operator(pg_catalog.=) 'progress'
    then pg_catalog.has_schema_privilege('taskrunner', 'CREATE') else false end;
end $$;
