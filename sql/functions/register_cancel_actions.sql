-- Registers the cancel actions that answers of on_start brought (contract 8.7): each belongs to the attempt that was started,
-- and is validated as at creation. Whoever comes when the attempt has been canceled or has timed out is called at once.
-- Answers may come twice, because a call whose claim went stale is repeated with the same key: the same action is registered
-- once per attempt. Another one is added, for two answers that differ may come from two that are at work. It belongs to the trace of
-- on_start.
-- p_tries: those of start_tasks, with "cancel_action". Returns the tasks whose action is invalid, and what is wrong with it.
-- Locks: none waited for; the caller holds those of the tasks. Writes action, delivery, due_delivery. Called by: start_tasks.
create or replace function taskrunner_private.register_cancel_actions(p_tries jsonb)
returns table (task_id uuid, fault text)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
begin
  perform taskrunner_private.set_cause('start');
  return query
  with answered as materialized (
    select t.id, t.batch_id, try.attempt, try.cancel_action -> 'params' as params, faults.text as fault,
      t.attempt = try.attempt and t.status = 'Canceled' or coalesce(try.attempt = any(t.timed_out_attempts), false) as over
    from jsonb_to_recordset(p_tries) as try (task_id uuid, attempt integer, cancel_action jsonb)
    cross join lateral (select * from taskrunner.task x where x.id = try.task_id offset 0) t
    cross join lateral (
      select string_agg(ltrim(e.path, '.') || ': ' || e.message, '; ' order by e.place, e.message collate "C") as text
      from taskrunner_private.action_errors(try.cancel_action) e offset 0) faults
    where try.cancel_action is not null and try.attempt <= t.attempt
  ), registered as (
    insert into taskrunner.action (task_id, trigger, attempt, params, traceparent)
    select a.id, 'Cancel', a.attempt, a.params, s.traceparent
    from answered a
    left join lateral (
      select x.traceparent from taskrunner.action x
      where x.task_id = a.id and (case when x.trigger = 'Start' then true end) offset 0) s on true
    where a.fault is null and (
      select x.id from taskrunner.action x
      where x.task_id = a.id and (case when x.trigger = 'Start' then true end) is null
        and x.trigger = 'Cancel' and x.attempt = a.attempt and x.params = a.params
      limit 1) is null
    returning id, task_id, attempt, params
  ), owed as (
    insert into taskrunner_private.delivery (task_id, batch_id, action_id, number, task_attempt, max_tries, trigger)
    select a.id, a.batch_id, r.id, coalesce(before.number, 0) + 1, a.attempt, s.webhook_max_attempts, 'Cancel'
    from registered r
    join answered a on a.id = r.task_id
    join taskrunner_private.server_setting s on s.singleton
    cross join lateral (
      select max(d.number) as number from taskrunner_private.delivery d
      where d.task_id = a.id and d.trigger = 'Cancel' and d.condition is null and d.task_attempt = a.attempt offset 0) before
    where a.over
    returning id, action_id
  ), due as (
    insert into taskrunner_private.due_delivery (delivery_id, next_try_at, host)
    select o.id, clock_timestamp(), taskrunner_private.url_host(r.params ->> 'url')
    from owed o
    join registered r on r.id = o.action_id
  )
  select a.id, a.fault from answered a where a.fault is not null;
  perform taskrunner_private.set_cause('');
end $$;
