-- The outbox: one delivery, and one row of the queue due_delivery, for every action that an event fires. n-th action
-- of its event counts in the order of the contract's section 1.4, registered cancel actions last. Deliveries that
-- exist already are left alone and keep their numbers, so calling it again for the same event adds only what is new.
-- An event belongs to the task's attempt. Cancel actions of a task that goes on are those of the attempt before: it timed out.
-- Locks: none waited for. Called by triggers/task_700_outbox.sql and triggers/action_500_check.sql.
create or replace function taskrunner_private.fire_actions(
  p_success uuid[], p_failure uuid[], p_cancel uuid[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  with fired as materialized (
    select a.id, a.task_id, a.trigger, case when a.trigger = 'End' then a.condition end as condition, a.params,
      t.batch_id, t.attempt, coalesce(before.number, 0) + row_number() over (
        partition by a.task_id, a.trigger, case when a.trigger = 'End' then a.condition end
        order by a.attempt is not null, a.position, a.seq)::integer as number
    from (
      select e.task_id, 'End'::taskrunner.trigger_kind, 'Success'::taskrunner.trigger_condition
      from unnest(p_success) e (task_id)
      union all
      select e.task_id, 'End', 'Failure' from unnest(p_failure) e (task_id)
      union all
      select e.task_id, 'Cancel', null from unnest(p_cancel) e (task_id)
    ) event (task_id, trigger, condition)
    cross join lateral (
      select x.* from taskrunner.action x
      where x.task_id = event.task_id
        and (case when x.trigger = 'Start' then true end) is null
        and x.trigger = event.trigger
        and (event.trigger = 'Cancel' or x.condition = event.condition)
      offset 0) a
    cross join lateral (
      select x.batch_id,
        x.attempt - (event.trigger = 'Cancel' and not taskrunner_private.is_terminal(x.status))::integer as attempt
      from taskrunner.task x where x.id = event.task_id offset 0) t
    cross join lateral (
      select max(d.number) as number
      from taskrunner_private.delivery d
      where d.task_id = event.task_id and d.trigger = event.trigger
        and d.condition is not distinct from event.condition and d.task_attempt = t.attempt) before
    where (a.attempt is null or a.attempt = t.attempt)
      and (  -- not exists, as a look-up for each: the planner would join with all deliveries
        select d.id from taskrunner_private.delivery d
        where d.task_id = a.task_id and d.trigger = event.trigger and d.condition is not distinct from event.condition
          and d.task_attempt = t.attempt and d.action_id = a.id
        limit 1) is null
  ), delivered as (
    insert into taskrunner_private.delivery
      (task_id, batch_id, action_id, number, task_attempt, max_tries, trigger, condition)
    select f.task_id, f.batch_id, f.id, f.number, f.attempt, s.webhook_max_attempts, f.trigger, f.condition
    from fired f
    join taskrunner_private.server_setting s on s.singleton
    on conflict do nothing
    returning id, action_id
  )
  insert into taskrunner_private.due_delivery (delivery_id, next_try_at, host)
  select d.id, clock_timestamp(), taskrunner_private.url_host(f.params ->> 'url')
  from delivered d
  join fired f on f.id = d.action_id;
end $$;
