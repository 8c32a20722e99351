-- Records tries of on_start: the delivery row is made by the first settled try, whose log stands in it; later ones
-- are rows of delivery_try. A delivery that was delivered stays so. p_status: what the deliveries become.
-- p_tries as for start_tasks, with "error". Locks: their Start deliveries, covered by the task's lock.
-- Everything is looked up by its key, so one plan does, which takes longer to make than to run.
-- Writes delivery, delivery_try, troubled_delivery.
create or replace function taskrunner_private.record_start_tries(
  p_tries jsonb, p_status taskrunner.delivery_status
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
begin
  with try as materialized (
    select * from jsonb_to_recordset(p_tries) as try (
      task_id uuid, attempt integer, at timestamptz, latency_ms integer, status_code integer, error text, response text)
  ), recorded as (
    insert into taskrunner_private.delivery as d
      (task_id, batch_id, action_id, finished_at, first_try_at, number, task_attempt, tries, max_tries,
       last_status_code, first_latency_ms, first_status_code, trigger, status, last_error, first_error, first_response)
    select t.id, t.batch_id, a.id, case when p_status <> 'Pending' then now() end, try.at, 1, try.attempt, 1,
      s.start_max_attempts, try.status_code, try.latency_ms, try.status_code, 'Start', p_status, try.error, try.error,
      try.response
    from try
    cross join lateral (select x.id, x.batch_id from taskrunner.task x where x.id = try.task_id offset 0) t
    cross join lateral (
      select x.id from taskrunner.action x
      where x.task_id = t.id and (case when x.trigger = 'Start' then true end) offset 0) a
    join taskrunner_private.server_setting s on s.singleton
    on conflict (task_id, trigger, condition, number, task_attempt) do update
    set tries = d.tries + 1, last_status_code = excluded.last_status_code, last_error = excluded.last_error,
      status = case when d.status = 'Delivered' then d.status else excluded.status end,
      finished_at = case when d.status = 'Delivered' then d.finished_at else excluded.finished_at end
    returning d.id, d.task_id, d.tries, d.created_at, d.status
  ), troubled as (
    insert into taskrunner_private.troubled_delivery (created_at, delivery_id)
    select r.created_at, r.id
    from recorded r
    where r.status in ('Pending', 'Failed')
    on conflict do nothing
  ), untroubled as (
    delete from taskrunner_private.troubled_delivery f using recorded r
    where f.created_at = r.created_at and f.delivery_id = r.id and r.tries > 1 and r.status not in ('Pending', 'Failed')
  )
  insert into taskrunner_private.delivery_try (delivery_id, number, at, status_code, latency_ms, error, response)
  select r.id, r.tries, try.at, try.status_code, try.latency_ms, try.error, try.response
  from recorded r
  join try on try.task_id = r.task_id
  where r.tries > 1;
end $$;
