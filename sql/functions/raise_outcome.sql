-- The error that says why an item of report_tasks or progress_tasks was not done; nothing when it was.
-- Locks: none. SQLSTATEs: TR001, TR002, TR005, TR006 (overflow), TR007 (newer attempt).
create or replace function taskrunner_private.raise_outcome(
  p_task_id uuid, p_outcome text, p_status taskrunner.status_kind, p_attempt integer
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  case p_outcome
    when 'done' then
      return;
    when 'state' then
      raise exception 'task %: is %, it cannot be finished', p_task_id, p_status
        using errcode = 'TR001', detail = p_status::text;
    when 'stale' then
      raise exception 'task %: attempt % is over', p_task_id, p_attempt
        using errcode = 'TR005', detail = p_status::text;
    when 'ahead' then
      raise exception 'task %: attempt % has not begun', p_task_id, p_attempt
        using errcode = 'TR007', detail = jsonb_build_array('attempt: has not begun')::text;
    when 'overflow' then
      raise exception 'task %: a counter would overflow', p_task_id
        using errcode = 'TR006', constraint = 'counter_range',
          detail = jsonb_build_array('new_success, new_failures: the counter would overflow')::text;
    else
      if p_outcome like 'metadata: %' then
        raise exception 'task %: %', p_task_id, p_outcome using errcode = 'TR004', detail = jsonb_build_array(p_outcome)::text;
      end if;
      raise exception 'task %: unknown task', coalesce(p_task_id::text, 'null') using errcode = 'TR002';
  end case;
end $$;
