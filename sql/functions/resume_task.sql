-- Lets a paused task go on (contract 6.5). The row is locked first, so that the target is chosen by what holds then:
-- parents may end, and the start may be answered, while this waits.
-- Locks: the task. SQLSTATEs: TR001, TR002, TR009.
create or replace function taskrunner.resume_task(p_task_id uuid) returns taskrunner.task
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_task taskrunner.task;
begin
  perform taskrunner_private.set_cause('');
  perform from taskrunner.task t where t.id = p_task_id for no key update;
  update taskrunner.task t
  set status = case
    when t.paused_from in ('Claimed', 'Running') then t.paused_from
    when t.wait_finished > 0 then 'Waiting'
    else 'Pending' end
  where t.id = p_task_id and t.status = 'Paused'
  returning t.* into v_task;
  if v_task.id is null then
    perform taskrunner_private.raise_task_state(p_task_id, 'is not paused');
  end if;
  return v_task;
end $$;
