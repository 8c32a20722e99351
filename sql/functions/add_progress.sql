-- Adds to the counters of a task in any state (PUT) and restarts its inactivity timeout.
-- Locks: the task.
-- SQLSTATEs: TR002, TR005, TR006 (overflow), TR007 (negative, nothing to add).
create or replace function taskrunner.add_progress(
  p_task_id uuid, p_new_success bigint, p_new_failures bigint, p_attempt integer = null
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_faults text[];
  v_answer record;
begin
  if coalesce(p_new_success, 0) <= 0 and coalesce(p_new_failures, 0) <= 0 or least(p_new_success, p_new_failures) < 0 then
    v_faults := array_remove(array[
      case when p_new_success < 0 then 'new_success: must be at least 0' end,
      case when p_new_failures < 0 then 'new_failures: must be at least 0' end], null);
    if v_faults = '{}' then
      v_faults := array['new_success: at least one of new_success and new_failures must be positive'];
    end if;
    raise exception 'task %: %', p_task_id, v_faults[1] using errcode = 'TR007', detail = to_jsonb(v_faults)::text;
  end if;
  loop
    if taskrunner_private.progress_task(p_task_id, p_attempt, coalesce(p_new_success, 0), coalesce(p_new_failures, 0)) is not null then
      return;
    end if;
    select a.written, a.outcomes[1] as outcome, nullif(a.current_statuses[1], '')::taskrunner.status_kind as status into v_answer
    from taskrunner_private.progress_tasks(array[p_task_id], array[case p_attempt when 0 then -1 else coalesce(p_attempt, 0) end],
      array[coalesce(p_new_success, 0)], array[coalesce(p_new_failures, 0)]) a;
    if v_answer.written = 1 then
      return;
    end if;
    exit when v_answer.outcome <> 'busy';                    -- the next try waits for whoever holds it
  end loop;
  perform taskrunner_private.raise_outcome(p_task_id, v_answer.outcome, v_answer.status, p_attempt);
end $$;
