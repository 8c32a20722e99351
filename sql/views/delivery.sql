-- Deliveries as clients see them (contract 4.13). Sending is read off: the lease of an End or Cancel delivery, or the
-- claim of a task whose on_start is being tried again. The action is looked up for each row: the planner moves no join into
-- a view with a security barrier, so it would mask all actions first.
create or replace view taskrunner.delivery with (security_barrier) as
select d.id, d.task_id, d.batch_id, d.trigger, d.condition,
  d.task_id::text
    || case d.trigger when 'Start' then ':start' when 'Cancel' then ':cancel' else
         case d.condition when 'Success' then ':end:success' else ':end:failure' end end
    || case when d.number > 1 then ':' || d.number else '' end
    || case when d.task_attempt > 1 then ':a' || d.task_attempt else '' end as idempotency_key,
  a.params ->> 'verb' as verb,
  a.params ->> 'url' as url,
  case when d.status = 'Pending' and (q.leased_until > clock_timestamp() or c.task_id is not null)
    then 'Sending'::taskrunner.delivery_status else d.status end as status,
  d.task_attempt, d.tries, d.max_tries, coalesce(q.next_try_at, case when d.status = 'Pending' then s.run_at end) as next_try_at,
  d.created_at, d.finished_at, d.last_status_code, d.last_error
from taskrunner_private.delivery d
cross join lateral (select m.params from taskrunner.action_masked m where m.id = d.action_id offset 0) a
left join taskrunner_private.due_delivery q on q.delivery_id = d.id
left join taskrunner_private.queued_task s on d.trigger = 'Start' and s.task_id = d.task_id
left join taskrunner_private.active_task c on d.trigger = 'Start' and c.task_id = d.task_id;
