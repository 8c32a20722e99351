-- The idempotency key of a delivery (contract 8.2). Every try and every replay carries the same one.
create or replace function taskrunner_private.delivery_key(
  p_task_id uuid, p_trigger taskrunner.trigger_kind, p_condition taskrunner.trigger_condition,
  p_number integer, p_task_attempt integer
) returns text
language sql immutable parallel safe
return p_task_id::text
  || case p_trigger when 'Start' then ':start' when 'Cancel' then ':cancel' else
       case p_condition when 'Success' then ':end:success' else ':end:failure' end end
  || case when p_number > 1 then ':' || p_number else '' end
  || case when p_task_attempt > 1 then ':a' || p_task_attempt else '' end;
