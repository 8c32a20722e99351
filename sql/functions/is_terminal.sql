-- Has a task in this status ended? Inlined wherever it is used.
create or replace function taskrunner_private.is_terminal(p_status taskrunner.status_kind) returns boolean
language sql immutable parallel safe
return p_status in ('Success', 'Failure', 'Canceled');
