-- Cancels one task (DELETE /task): from every state but the ended ones.
-- Locks: as cancel_tasks. SQLSTATEs: TR001 (has ended), TR002 (unknown), TR009, 40001.
create or replace function taskrunner.cancel_task(p_task_id uuid) returns taskrunner.task
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_task taskrunner.task;
begin
  select * into v_task from taskrunner.cancel_tasks(array[p_task_id]);
  if v_task.id is null then
    perform taskrunner_private.raise_task_state(p_task_id, 'cannot be canceled');
  end if;
  return v_task;
end $$;
