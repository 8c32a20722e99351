-- The lock step of a direct UPDATE that ended tasks: all that fails with p_failed, and the children of all that
-- ended, by rank, then once more for what was linked meanwhile. The statement holds rows already, so the graph lock
-- is only tried; without it, and when p_wait is false, nothing is waited for.
-- Locks: graph lock shared (tried); rows of task by rank. SQLSTATE: 40001. Called by: triggers/task_500_propagate.sql.
create or replace function taskrunner_private.lock_children(
  p_succeeded uuid[], p_failed uuid[], p_wait boolean
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_wait boolean := p_wait and taskrunner_private.lock_graph_shared(false);
  v_affected uuid[];
  v_before uuid[];
  v_locked uuid[] := p_succeeded || p_failed;
  v_new uuid[];
begin
  loop
    v_before := v_affected;
    v_affected := taskrunner_private.affected_tasks(p_succeeded, p_failed);  -- alone: a planner would run it for its estimates
    exit when v_affected = v_before;                         -- the same in the same order, which is how it almost always ends
    v_new := array(select unnest(v_affected) except select unnest(v_locked));
    exit when v_new = '{}';
    if not taskrunner_private.lock_tasks(v_new, v_wait) then
      perform taskrunner_private.raise_busy();
    end if;
    v_locked := v_locked || v_new;
    v_wait := false;
  end loop;
end $$;
