-- See queued_task_900_notify_insert.sql.
create or replace trigger queued_task_900_notify_update after update on taskrunner_private.queued_task
referencing new table as new_rows
for each statement execute function taskrunner_private.queued_task_notify();
