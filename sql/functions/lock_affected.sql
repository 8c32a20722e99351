-- The one ordered lock step of everything that ends tasks: locks p_ids, all that fails with p_failing, and the
-- children of p_ending (p_failing included) and of all that fails, by rank. Then looks again, because links may have
-- been added while it waited: what is new is locked without waiting, since waiting would break the order.
-- Afterwards the set cannot grow: a link to one of these tasks needs the lock of both its ends.
-- p_wait false never waits (chores: one task held in somebody's session must not stop the others) and returns
-- whether everything is locked; with p_wait the answer is always true.
-- Locks: graph lock shared; rows of task by rank. SQLSTATEs: 40001, TR009.
-- Called by: report_tasks, fail_starts, cancel_tasks, stop_batch, sweep_active, sweep_replicas.
create or replace function taskrunner_private.lock_affected(
  p_ids uuid[], p_ending uuid[], p_failing uuid[], p_wait boolean
) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_affected uuid[];
  v_before uuid[];
  v_locked uuid[];
  v_new uuid[];
begin
  perform taskrunner_private.require_read_committed();
  if not taskrunner_private.lock_graph_shared(p_wait) then
    return false;
  end if;
  v_affected := taskrunner_private.affected_tasks(p_ending, p_failing);
  v_locked := p_ids || v_affected;
  if not taskrunner_private.lock_tasks(v_locked, p_wait) then
    return false;
  end if;
  loop
    v_before := v_affected;
    v_affected := taskrunner_private.affected_tasks(p_ending, p_failing);  -- alone: a planner would run it for its estimates
    exit when v_affected = v_before;                         -- the same in the same order, which is how it almost always ends
    v_new := array(select unnest(v_affected) except select unnest(v_locked));
    exit when v_new = '{}';
    if not taskrunner_private.lock_tasks(v_new, false) then
      if p_wait then
        perform taskrunner_private.raise_busy();
      end if;
      return false;
    end if;
    v_locked := v_locked || v_new;
  end loop;
  return true;
end $$;
