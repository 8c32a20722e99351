-- Reports the result of one task (PATCH with status). With p_attempt the report is fenced.
-- Locks: as report_tasks. SQLSTATEs: TR001 (state), TR002 (unknown), TR005 (stale attempt), TR007 (status not Success
-- or Failure, an attempt that has not begun), TR009, 40001.
create or replace function taskrunner.finish_task(
  p_task_id uuid, p_status taskrunner.status_kind, p_failure_reason text = null, p_attempt integer = null
) returns taskrunner.task
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_answer record;
  v_task taskrunner.task;
begin
  perform taskrunner_private.require_result(p_status);
  select * into v_answer from taskrunner_private.report_tasks(jsonb_build_array(jsonb_build_object(
    'task_id', p_task_id, 'attempt', p_attempt, 'status', p_status,
    'failure_reason', taskrunner_private.given_reason(p_status, p_failure_reason))));
  perform taskrunner_private.raise_outcome(p_task_id, v_answer.outcome, v_answer.current_status, p_attempt);
  select t.* into v_task from taskrunner.task t where t.id = p_task_id;
  return v_task;
end $$;
