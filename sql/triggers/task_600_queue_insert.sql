-- A new task is Pending and stands in the queue; links that come later in the transaction take it out again.
-- submit writes the rows itself, with their final state.
-- Locks: none waited for. Writes queued_task, shape_request.
create or replace function taskrunner_private.task_queue_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_ruled uuid[];
begin
  if coalesce(current_setting('taskrunner.cause', true), '') = 'submit' then
    return null;
  end if;
  -- By the present rows: in a statement of several parts, links and actions of these tasks may have come before. Each is looked
  -- up, because what statistics say of the tables is from before the statement.
  execute $q$
    insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind, host, has_rules)
    select t.id, t.seq, t.created_at, t.run_at, t.priority, taskrunner_private.queue_state(t.status, t.run_at), t.kind,
      taskrunner_private.url_host(a.params ->> 'url'), t.rules <> '[]'
    from new_rows n
    cross join lateral (
      select x.id, x.seq, x.created_at, x.run_at, x.priority, x.status, x.kind, x.rules from taskrunner.task x where x.id = n.id offset 0) t
    left join lateral (
      select x.params from taskrunner.action x where x.task_id = n.id and (case when x.trigger = 'Start' then true end) offset 0) a on true
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
