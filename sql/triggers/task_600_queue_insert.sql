-- A new task is Pending and stands in the queue; links that come later in the transaction take it out again.
-- submit writes the rows itself, with their final state.
-- Locks: none waited for. Writes queued_task.
create or replace function taskrunner_private.task_queue_insert() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if coalesce(current_setting('taskrunner.cause', true), '') = 'submit' then
    return null;
  end if;
  insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind)
  select n.id, n.seq, n.created_at, n.run_at, n.priority, taskrunner_private.queue_state(n.status, n.run_at), n.kind
  from new_rows n;
  return null;
end $$;

create or replace trigger task_600_queue_insert after insert on taskrunner.task
referencing new table as new_rows
for each statement execute function taskrunner_private.task_queue_insert();
