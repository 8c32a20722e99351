-- (6) Tasks ended: whatever fails with them fails, their other children are counted down, and those that wait for
-- nobody any more become Pending (contract 6.1). As a set: one statement finds all that fail, one UPDATE marks them,
-- one counts. The nested firings of this trigger return at once (cause propagate). Dead ends have no children that live.
-- What failed may leave dead ends above it: the parents are noted, unless a batch was stopped (contract 6.3). A task that
-- succeeds has no parent left.
-- The ended ids are taken out of the transition tables by a full join: its plan is made once, perhaps for one row, and used
-- for 100,000, and a full join is never a nested loop. (The condition is one that a missing row could meet too, otherwise the
-- planner would make an inner join of it.) All further statements work on arrays of ids.
-- Locks: functions that end tasks have locked everything before (lock_affected). For direct SQL: graph lock shared,
-- only tried, since rows are held already; then the failing tasks and the children by rank, waiting with the graph
-- lock and not waiting without it.
-- SQLSTATE: 40001, TR009 (status changes need READ COMMITTED). Writes of other tasks: status, failure_reason, ended_at,
-- paused_from, wait_finished, wait_success; dead_end_check.
create or replace function taskrunner_private.task_propagate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_cause text := coalesce(current_setting('taskrunner.cause', true), '');
  v_succeeded uuid[];
  v_failed uuid[];
  v_failing uuid[] := '{}';
begin
  if current_setting('transaction_isolation') <> 'read committed' and v_cause not in ('propagate', 'link', 'rerank')
    -- Links among new tasks need no isolation level; where older tasks are concerned link_count has looked already.
    and exists (select from new_rows n join old_rows o using (id) where n.status <> o.status)
  then
    perform taskrunner_private.require_read_committed();
  end if;
  if v_cause in ('claim', 'start', 'propagate', 'rerank', 'dead_end') then
    return null;
  end if;
  select coalesce(array_agg(n.id) filter (where n.status = 'Success'), '{}'),
    coalesce(array_agg(n.id) filter (where n.status in ('Failure', 'Canceled')), '{}')
  into v_succeeded, v_failed
  from new_rows n
  full join old_rows o on o.id = n.id
  where n.status is distinct from o.status;
  if v_succeeded = '{}' and v_failed = '{}' then
    return null;
  end if;

  if v_cause in ('', 'link') then
    perform taskrunner_private.lock_children(v_succeeded, v_failed, v_cause = '');
  end if;

  if v_failed <> '{}' then
    v_failing := taskrunner_private.failing_descendants(v_failed);
  end if;
  perform taskrunner_private.set_cause('propagate');
  if v_failing <> '{}' then
    perform taskrunner_private.fail_tasks(v_failing, v_failed);
  end if;
  perform taskrunner_private.count_down(v_succeeded || v_failed || v_failing);
  perform taskrunner_private.set_cause(v_cause);
  if v_failed <> '{}' and v_cause <> 'stop' then
    perform taskrunner_private.record_dead_ends(v_failed || v_failing);
  end if;
  return null;
end $$;

create or replace trigger task_500_propagate after update on taskrunner.task
referencing new table as new_rows old table as old_rows
for each statement when (not taskrunner_private.is_progress())
execute function taskrunner_private.task_propagate();
