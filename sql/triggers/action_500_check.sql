-- New actions: their task must not have ended, unless this transaction created it (contract 13.1). A failure action of
-- a task that was created as Failure is delivered at once. A Start action tells the queue its host.
-- Locks: graph lock shared, tried only; rows of task by rank that existed before, not waiting without the graph lock;
-- rows of queued_task. SQLSTATEs: TR001, 40001. Writes queued_task.host.
create or replace function taskrunner_private.action_check() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_existed uuid[];
  v_ended record;
  v_success uuid[];
  v_failure uuid[];
  v_started uuid[];
begin
  if coalesce(current_setting('taskrunner.cause', true), '') in ('submit', 'start') then
    return null;
  end if;
  execute $q$
    select array_agg(distinct t.id)
    from new_rows a
    join taskrunner.task t on t.id = a.task_id
    where not taskrunner_private.created_here(t.xmin, t.created_at)
  $q$ into v_existed;
  if v_existed is not null then
    if not taskrunner_private.lock_tasks(v_existed, taskrunner_private.lock_graph_shared(false)) then
      perform taskrunner_private.raise_busy();
    end if;
    -- In a later statement, now that it cannot change.
    select t.id, t.status into v_ended
    from taskrunner.task t
    where t.id = any(v_existed) and taskrunner_private.is_terminal(t.status) and t.created_at <> now()
    limit 1;
    if v_ended.id is not null then
      raise exception 'task %: has ended (%), no action can be added', v_ended.id, v_ended.status
        using errcode = 'TR001', detail = v_ended.status::text;
    end if;
  end if;

  execute $q$
    select coalesce(array_agg(distinct t.id) filter (where t.status = 'Success'), '{}'),
      coalesce(array_agg(distinct t.id) filter (where t.status = 'Failure'), '{}')
    from new_rows a
    join taskrunner.task t on t.id = a.task_id
    where a.trigger = 'End' and t.status in ('Success', 'Failure')
  $q$ into v_success, v_failure;
  if v_success <> '{}' or v_failure <> '{}' then
    perform taskrunner_private.fire_actions(v_success, v_failure, '{}');
  end if;

  -- By id, and so are the actions: a queue that statistics call empty would be read once for each of them.
  execute $q$ select array_agg(a.task_id) from new_rows a where a.trigger = 'Start' $q$ into v_started;
  if v_started is not null then
    update taskrunner_private.queued_task q
    set host = (
      select taskrunner_private.url_host(a.params ->> 'url') from taskrunner.action a
      where a.task_id = q.task_id and (case when a.trigger = 'Start' then true end))
    where q.task_id = any(v_started);
  end if;
  return null;
end $$;

create or replace trigger action_500_check after insert on taskrunner.action
referencing new table as new_rows
for each statement execute function taskrunner_private.action_check();
