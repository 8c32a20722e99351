-- Is a task active: Claimed, Running, or paused from one of these? Inlined wherever it is used.
create or replace function taskrunner_private.is_active(
  p_status taskrunner.status_kind, p_paused_from taskrunner.status_kind
) returns boolean
language sql immutable parallel safe
return p_status in ('Claimed', 'Running')
  or (p_status = 'Paused' and coalesce(p_paused_from in ('Claimed', 'Running'), false));
