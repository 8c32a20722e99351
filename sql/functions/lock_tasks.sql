-- Locks tasks in rank order, the one order in which anybody waits for tasks, and says whether it got them all. With
-- p_wait it waits and the caller holds the graph lock; without, tasks that somebody else holds are left out.
-- Locks: rows of task by rank, for no key update.
create or replace function taskrunner_private.lock_tasks(p_ids uuid[], p_wait boolean) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_locked bigint;
begin
  if p_wait then
    perform from (
      select from taskrunner.task t where t.id = any(p_ids) order by t.rank for no key update
    ) locked;
    return true;
  end if;

  select count(*) into v_locked from (
    select from taskrunner.task t where t.id = any(p_ids) order by t.rank for no key update skip locked
  ) locked;
  return v_locked = (select count(*) from taskrunner.task t where t.id = any(p_ids));
end $$;
