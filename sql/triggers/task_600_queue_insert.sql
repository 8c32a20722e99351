-- A new task is Pending and stands in the queue; links that come later in the transaction take it out again.
-- submit writes the rows itself, with their final state.
-- Locks: none waited for. Writes queued_task, shape_request.
create or replace function taskrunner_private.task_queue_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_ruled uuid[];
begin
  if coalesce(current_setting('taskrunner.cause', true), '') = 'submit' then
    return null;
  end if;
  -- By the present rows: in a statement of several parts, links and actions of these tasks may have come before.
  execute $q$
    insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind, host, has_rules)
    select t.id, t.seq, t.created_at, t.run_at, t.priority, taskrunner_private.queue_state(t.status, t.run_at), t.kind,
      taskrunner_private.url_host(a.params ->> 'url'), t.rules <> '[]'
    from new_rows n
    join taskrunner.task t on t.id = n.id
    left join taskrunner.action a on a.task_id = t.id and (case when a.trigger = 'Start' then true end)
    where not taskrunner_private.is_terminal(t.status)
  $q$;
  execute $q$ select array_agg(n.id) from new_rows n where n.rules <> '[]' $q$ into v_ruled;
  if v_ruled is not null then
    perform taskrunner_private.request_shapes(v_ruled, true);
  end if;
  return null;
end $$;

create or replace trigger task_600_queue_insert after insert on taskrunner.task
referencing new table as new_rows
for each statement execute function taskrunner_private.task_queue_insert();
