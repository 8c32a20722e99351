-- The chore of tasks whose run_at has come: scheduled -> ready. One bounded chunk. It holds rows of queued_task without
-- their tasks, so it waits for nothing and commits at once; task itself is not written.
-- Locks: rows of queued_task, skip locked. Writes queued_task.state.
create or replace function taskrunner_private.release_scheduled(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();                   -- a variable: a volatile function is no index condition
  v_released integer;
begin
  update taskrunner_private.queued_task q
  set state = 'ready'
  where q.task_id = any(array(
    select d.task_id from taskrunner_private.queued_task d
    where d.state = 'scheduled' and d.run_at <= v_now
    order by d.run_at
    limit p_limit
    for update skip locked));
  get diagnostics v_released = row_count;
  return v_released;
end $$;
