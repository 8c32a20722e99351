-- The chore that looks for parked tasks which could start. Progress makes room in Capacity limits without waking them; beside that
-- nothing is ever found, and what is found all the same is repaired and counted.
-- p_all: look at all gates, not only at those that wait for a Capacity limit.
-- Locks: rows of limit_lock, skip locked; rows of queued_task, skip locked. Writes queued_task, wake.
create or replace function taskrunner_private.recheck_limits(p_all boolean) returns table (repaired integer, progressed integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_limits bigint[];
  v_missing integer[];
  v_limit bigint;
  v_capacity boolean;
  v_found integer;
begin
  repaired := 0;
  progressed := 0;
  v_limits := array(select distinct g.limit_id from taskrunner_private.passable_gates(p_all) g);
  v_missing := taskrunner_private.lock_stripes(v_limits, 0);
  -- Again, in a later statement, now that nobody else decides about them.
  for v_limit, v_capacity in
    select g.limit_id, bool_or(g.is_capacity) from taskrunner_private.passable_gates(p_all) g
    where g.limit_id = any(v_limits) and (g.limit_id & 16383)::integer <> all(v_missing)
    group by g.limit_id
  loop
    v_found := taskrunner_private.unpark(array[v_limit]);
    if v_capacity then
      progressed := progressed + v_found;
    else
      repaired := repaired + v_found;
    end if;
  end loop;
  return next;
end $$;
