-- Deliveries commit together with the change that owes them (contract 8.8): on_success and on_failure of what ended (a dead
-- end has its on_failure), cancel actions of what was contacted and is canceled, and of every timed-out attempt. The end of a
-- task or of its attempt and a pause also close a Start delivery that waits for its next try.
-- Why a full join: task_500_propagate.sql.
-- Locks: rows of delivery of these tasks, covered by the task's lock. Writes delivery, due_delivery, troubled_delivery.
create or replace function taskrunner_private.task_outbox() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_cause text := coalesce(current_setting('taskrunner.cause', true), '');
  v_success uuid[];
  v_failure uuid[];
  v_cancel uuid[];
  v_unstarted uuid[];
begin
  if v_cause in ('claim', 'start', 'rerank') then
    return null;
  end if;
  select
    coalesce(array_agg(n.id) filter (where n.status = 'Success'), '{}'),
    coalesce(array_agg(n.id) filter (where n.status = 'Failure' or n.status = 'Canceled' and v_cause = 'dead_end'), '{}'),
    coalesce(array_agg(n.id) filter (where
      n.status = 'Canceled' and o.contacted or v_cause = 'timeout' and o.status = 'Running'), '{}'),
    array_agg(n.id) filter (where o.contacted and o.started_at is null
      and (n.status not in ('Pending', 'Claimed') or n.attempt > o.attempt))
  into v_success, v_failure, v_cancel, v_unstarted
  from new_rows n
  full join old_rows o on o.id = n.id
  where (n.status, n.attempt) is distinct from (o.status, o.attempt);

  if v_success <> '{}' or v_failure <> '{}' or v_cancel <> '{}' then
    perform taskrunner_private.fire_actions(v_success, v_failure, v_cancel);
  end if;
  if v_unstarted is not null then
    perform taskrunner_private.close_starts(v_unstarted);
  end if;
  return null;
end $$;

create or replace trigger task_700_outbox after update on taskrunner.task
referencing new table as new_rows old table as old_rows
for each statement when (not taskrunner_private.is_progress())
execute function taskrunner_private.task_outbox();
