-- Holds a task (contract 6.5): Waiting, Pending, Claimed or Running -> Paused. The guard remembers from where.
-- Locks: the task. SQLSTATEs: TR001, TR002, TR009.
create or replace function taskrunner.pause_task(p_task_id uuid) returns taskrunner.task
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_task taskrunner.task;
begin
  perform taskrunner_private.set_cause('');
  update taskrunner.task t
  set status = 'Paused'
  where t.id = p_task_id and t.status in ('Waiting', 'Pending', 'Claimed', 'Running')
  returning t.* into v_task;
  if v_task.id is null then
    perform taskrunner_private.raise_task_state(p_task_id, 'cannot be paused');
  end if;
  return v_task;
end $$;
