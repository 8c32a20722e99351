-- Limits that may have room wake the chores of a sleeping replica.
create or replace trigger wake_900_notify after insert on taskrunner_private.wake
referencing new table as new_rows
for each statement execute function taskrunner_private.chores_notify();
