-- See task_150_rules_insert.sql. Reports (cause patch, report) have been checked by report_tasks.
create or replace trigger task_150_rules_update before update on taskrunner.task
for each row when (new.rules <> '[]' and not taskrunner_private.is_engine())
execute function taskrunner_private.task_rules();
