-- What becomes of claimed tasks whose on_start failed or got lost (contract 5.3 rows 8, 9, 12, 14, 21). A lost try counts
-- like a failed one; a task without a Start action (claimed by SQL, or by nobody's call) has no tries and just goes
-- back. p_tries as for fail_starts, with "delay_secs"; the caller holds the locks of all that may end with them.
-- Locks: none waited for. Called by: fail_starts, give_back_claims, requeue_stale.
-- Writes task (status, paused_from, run_at, failure_reason, ended_at, last_updated; retry_tasks), delivery, delivery_try.
create or replace function taskrunner_private.settle_failed_starts(p_tries jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_failed jsonb;
  v_paused jsonb;
  v_again jsonb;
  v_retried uuid[];
  v_reasons text[];
begin
  select
    jsonb_agg(item) filter (where t.status = 'Claimed' and item ->> 'error' is not null
      and (coalesce((item ->> 'permanent')::boolean, false) or coalesce(d.tries, 0) + 1 >= s.start_max_attempts)),
    jsonb_agg(item) filter (where t.status = 'Paused' and item ->> 'error' is not null),
    jsonb_agg(item) filter (where t.status = 'Claimed' and not (item ->> 'error' is not null
      and (coalesce((item ->> 'permanent')::boolean, false) or coalesce(d.tries, 0) + 1 >= s.start_max_attempts)))
  into v_failed, v_paused, v_again
  from jsonb_array_elements(p_tries) item
  cross join lateral (select * from taskrunner.task x where x.id = (item ->> 'task_id')::uuid offset 0) t
  join taskrunner_private.server_setting s on s.singleton
  left join lateral (
    select x.tries from taskrunner_private.delivery x
    where x.task_id = t.id and x.trigger = 'Start' and x.condition is null and x.number = 1
      and x.task_attempt = t.attempt offset 0) d on true;

  if v_failed is not null then
    perform taskrunner_private.record_start_tries(v_failed, 'Failed');
  end if;
  if v_paused is not null then
    perform taskrunner_private.record_start_tries(v_paused, 'Canceled');
  end if;
  if v_again is not null then
    perform taskrunner_private.record_start_tries((
      select coalesce(jsonb_agg(item), '[]') from jsonb_array_elements(v_again) item where item ->> 'error' is not null),
      'Pending');
  end if;

  perform taskrunner_private.set_cause('start_failed');
  select array_agg(t.id), array_agg('on_start webhook failed: ' || failed.error) into v_retried, v_reasons
  from jsonb_to_recordset(coalesce(v_failed, '[]')) as failed (task_id uuid, error text)
  cross join lateral (select * from taskrunner.task x where x.id = failed.task_id offset 0) t
  where t.attempt < t.max_attempts;
  if v_retried is not null then
    perform taskrunner_private.retry_tasks(v_retried, v_reasons);
  end if;
  update taskrunner.task t
  set status = case when failed.error is not null then 'Failure' when t.status = 'Claimed' then 'Pending' else t.status end,
    paused_from = case when t.status = 'Paused' then 'Pending'::taskrunner.status_kind end,
    failure_reason = coalesce('on_start webhook failed: ' || failed.error, t.failure_reason),
    ended_at = case when failed.error is not null then now() end,
    run_at = case when failed.error is null and t.status = 'Claimed' and try.delay_secs > 0
      then clock_timestamp() + make_interval(secs => try.delay_secs) else t.run_at end,
    last_updated = case when t.status = 'Claimed' then now() else t.last_updated end
  from jsonb_to_recordset(p_tries) as try (task_id uuid, delay_secs float8)
  left join jsonb_to_recordset(coalesce(v_failed, '[]')) as failed (task_id uuid, error text)
    on failed.task_id = try.task_id
  -- The array keeps a plan that was made while the table was small from reading all of it.
  where t.id = any(array(select (item ->> 'task_id')::uuid from jsonb_array_elements(p_tries) item))
    and t.id = try.task_id and coalesce(t.paused_from, t.status) = 'Claimed';
  perform taskrunner_private.set_cause('');
end $$;
