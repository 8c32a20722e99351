-- (4) on_start was delivered: Claimed -> Running, and a task paused from Claimed counts as paused from Running.
-- Every try is recorded, whatever became of the task meanwhile: a delivered on_start is never called again in its
-- attempt. Not fenced by the claim, because a delivery that a stale claim made is a delivery all the same.
-- A cancel action in the answer is registered; refused: it is invalid, and why.
-- p_tries: [{"task_id", "attempt", "at", "latency_ms", "status_code", "response", "cancel_action"}], a task at most once.
-- The commit is not waited for, since the report of a quick target waits for this lock. A crash that undoes it is one before it: the
-- claim stands and goes stale, and on_start is called again under the same key.
-- Locks: graph lock shared, rows of task by rank, their Start deliveries. SQLSTATE: TR009.
-- Writes task (status, paused_from, started_at, last_updated), delivery, delivery_try, action, due_delivery.
create or replace function taskrunner_private.start_tasks(p_tries jsonb)
returns table (task_id uuid, status taskrunner.status_kind, counts text, refused text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_refused jsonb;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform taskrunner_private.begin_counts();
  perform taskrunner_private.require_read_committed();
  v_ids := array(select (item ->> 'task_id')::uuid from jsonb_array_elements(p_tries) item);
  perform taskrunner_private.lock_graph_shared(true);
  perform taskrunner_private.lock_tasks(v_ids, true);

  perform taskrunner_private.record_start_tries(p_tries, 'Delivered');
  perform taskrunner_private.set_cause('start');
  update taskrunner.task t
  set status = case when t.status = 'Claimed' then 'Running' else t.status end,
    paused_from = case when t.status = 'Paused' then 'Running'::taskrunner.status_kind end,
    started_at = now(),
    last_updated = case when t.status = 'Claimed' then now() else t.last_updated end
  from jsonb_to_recordset(p_tries) as try (task_id uuid, attempt integer)
  -- The array keeps a plan that was made while the table was small from reading all of it.
  where t.id = any(v_ids) and t.id = try.task_id and t.attempt = try.attempt
    and (t.status = 'Claimed' or t.status = 'Paused' and t.paused_from = 'Claimed');
  perform taskrunner_private.set_cause('');
  if jsonb_path_exists(p_tries, '$[*].cancel_action') then
    v_refused := (
      select jsonb_object_agg(r.task_id, r.fault) from taskrunner_private.register_cancel_actions(p_tries) r);
  end if;

  return query
  select t.id, t.status, c.counts, v_refused ->> t.id::text
  from taskrunner.task t
  cross join (select taskrunner_private.take_counts() as counts offset 0) c
  where t.id = any(v_ids);
end $$;
