-- Does a task follow its parents: Waiting, or paused from it? Inlined wherever it is used.
create or replace function taskrunner_private.is_waiting(
  p_status taskrunner.status_kind, p_paused_from taskrunner.status_kind
) returns boolean
language sql immutable parallel safe
return p_status = 'Waiting' or (p_status = 'Paused' and coalesce(p_paused_from = 'Waiting', false));
