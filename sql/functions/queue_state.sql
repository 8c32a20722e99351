-- The state of the queued_task row of a task that is neither active nor ended. Inlined wherever it is used,
-- which it would not be if it was called stable.
create or replace function taskrunner_private.queue_state(
  p_status taskrunner.status_kind, p_run_at timestamptz
) returns taskrunner_private.queue_state
language sql volatile parallel safe
return case
  when p_status = 'Waiting' then 'waiting'::taskrunner_private.queue_state
  when p_status = 'Paused' then 'paused'
  when p_run_at > clock_timestamp() then 'scheduled'
  else 'ready'
end;
