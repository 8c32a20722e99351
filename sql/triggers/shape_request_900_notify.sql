-- A shape that is to be counted wakes the chores of a sleeping replica.
create or replace trigger shape_request_900_notify after insert on taskrunner_private.shape_request
referencing new table as new_rows
for each statement execute function taskrunner_private.chores_notify();
