-- Whether a task has the status that a matcher asks for: Running covers every active task, Paused every paused one (contract 7.5).
-- Inlined wherever it is used.
create or replace function taskrunner_private.status_fits(
  p_asked taskrunner.status_kind, p_status taskrunner.status_kind, p_paused_from taskrunner.status_kind
) returns boolean
language sql immutable parallel safe
return p_status = p_asked or p_asked = 'Running' and taskrunner_private.is_active(p_status, p_paused_from);
