-- Records tries of End and Cancel deliveries: delivered, given up, or due again after a growing pause
-- (contract 8.5: min(max, base * factor^(k-1)) * uniform[0.9, 1.1) after try k, or Retry-After if longer). A replay
-- begins to count anew.
-- The log of the first try stands in the delivery, later ones are rows of delivery_try. A failure is settled once: its number must
-- be the next one, and its lease the last one, so that who comes late takes nothing from whoever sends now. A success counts late
-- as well, and after the delivery was given up: the receiver has it. Only a replay that was asked for since is not undone.
-- p_tries: [{"delivery_id", "number", "leased_until", "outcome" (delivered, failed, given_up), "at", "latency_ms", "status_code",
-- "error", "response", "retry_after_secs"}], a delivery at most once.
-- Locks: rows of delivery by id, then of due_delivery. Writes delivery, delivery_try, due_delivery, troubled_delivery.
create or replace function taskrunner_private.settle_deliveries(
  p_tries jsonb, p_backoff_secs double precision, p_backoff_factor double precision, p_backoff_max_secs double precision
) returns table (delivery_id uuid, trigger taskrunner.trigger_kind, status taskrunner.delivery_status)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_ids uuid[] := array(select (item ->> 'delivery_id')::uuid from jsonb_array_elements(p_tries) item);
begin
  perform from (
    select from taskrunner_private.delivery d where d.id = any(v_ids) order by d.id for no key update) locked;
  perform from (
    select from taskrunner_private.due_delivery q where q.delivery_id = any(v_ids) order by q.delivery_id for update) locked;

  return query
  with try as materialized (
    select try.delivery_id, try.at, try.latency_ms, try.status_code, try.error, try.response, try.retry_after_secs,
      d.created_at, d.status as was, d.tries + 1 as number, d.tries - d.tries_before as waits,
      case when try.outcome = 'delivered' then 'Delivered'
           when try.outcome = 'given_up' or d.tries + 1 >= d.max_tries then 'Failed'
           else 'Pending' end::taskrunner.delivery_status as status
    from jsonb_to_recordset(p_tries) as try (
      delivery_id uuid, number integer, leased_until timestamptz, outcome text, at timestamptz, latency_ms integer, status_code integer,
      error text, response text, retry_after_secs double precision)
    cross join lateral (select * from taskrunner_private.delivery x where x.id = try.delivery_id offset 0) d
    left join lateral (
      select x.leased_until from taskrunner_private.due_delivery x where x.delivery_id = try.delivery_id offset 0) q on true
    where (d.status = 'Pending' and d.tries = try.number - 1 and q.leased_until = try.leased_until)
      or (try.outcome = 'delivered' and d.status in ('Pending', 'Failed') and try.number > d.tries_before)
  ), logged as (
    insert into taskrunner_private.delivery_try (delivery_id, number, at, status_code, latency_ms, error, response)
    select t.delivery_id, t.number, t.at, t.status_code, t.latency_ms, t.error, t.response
    from try t
    where t.number > 1
  ), settled as (
    delete from taskrunner_private.due_delivery q using try t
    where q.delivery_id = t.delivery_id and t.status <> 'Pending'
  ), given_up as (
    insert into taskrunner_private.troubled_delivery (created_at, delivery_id)
    select t.created_at, t.delivery_id
    from try t
    where t.status = 'Failed'
  ), late as (
    delete from taskrunner_private.troubled_delivery f using try t
    where f.created_at = t.created_at and f.delivery_id = t.delivery_id and t.was = 'Failed'
  ), again as (
    update taskrunner_private.due_delivery q
    set leased_by = null, leased_until = null, next_try_at = clock_timestamp() + make_interval(secs => greatest(
      least(p_backoff_max_secs, p_backoff_secs * p_backoff_factor ^ least(t.waits, 100)) * (0.9 + random() / 5),
      least(coalesce(t.retry_after_secs, 0), 86400)))
    from try t
    where q.delivery_id = t.delivery_id and t.status = 'Pending'
  )
  update taskrunner_private.delivery d
  set status = t.status, tries = t.number, last_status_code = t.status_code, last_error = t.error,
    finished_at = case when t.status <> 'Pending' then clock_timestamp() end,
    first_try_at = case when t.number = 1 then t.at else d.first_try_at end,
    first_latency_ms = case when t.number = 1 then t.latency_ms else d.first_latency_ms end,
    first_status_code = case when t.number = 1 then t.status_code else d.first_status_code end,
    first_error = case when t.number = 1 then t.error else d.first_error end,
    first_response = case when t.number = 1 then t.response else d.first_response end
  from try t
  where d.id = t.delivery_id
  returning d.id, d.trigger, d.status;
end $$;
