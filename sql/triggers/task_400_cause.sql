-- A forged cause ends here: functions/empty_cause.sql.
create or replace trigger task_400_cause after insert or update or delete on taskrunner.task
for each statement execute function taskrunner_private.empty_cause();
