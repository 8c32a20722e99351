-- See task_150_rules_insert.sql. Reports (cause patch, report) have been checked by report_tasks.
create or replace trigger task_150_rules_update before update on taskrunner.task
for each row when (
  new.rules <> '[]' and (new.rules, new.metadata) is distinct from (old.rules, old.metadata)
  and (coalesce(current_setting('taskrunner.cause', true), '') = '' or not has_schema_privilege('taskrunner', 'CREATE'))
)
execute function taskrunner_private.task_rules();
