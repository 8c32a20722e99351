-- Locks tasks that may fail, with all that fails with them and their children, without waiting; returns those of
-- p_ids for which it got everything. All at once if nobody is in the way, else each for itself.
-- Locks: graph lock shared, rows of task by rank, all only tried. Called by: give_back_claims, sweep_active, sweep_replicas.
create or replace function taskrunner_private.try_lock_each(p_ids uuid[]) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_locked uuid[] := '{}';
  v_id uuid;
begin
  if taskrunner_private.lock_affected(p_ids, p_ids, p_ids, false) then
    return p_ids;
  end if;
  foreach v_id in array p_ids loop
    if taskrunner_private.lock_affected(array[v_id], array[v_id], array[v_id], false) then
      v_locked := v_locked || v_id;
    end if;
  end loop;
  return v_locked;
end $$;
