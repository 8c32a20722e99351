-- Locks tasks in rank order, the one order in which anybody waits for tasks, and says whether it got them all. With
-- p_wait it waits and the caller holds the graph lock; without, tasks that somebody else holds are left out.
-- PostgreSQL grants each lock its own lock_timeout. For up to 1,000 tasks it is here one for all of them together: the outer
-- select sees each row when it is locked and the next is not yet, and leaves that one the time that remains.
-- Locks: rows of task by rank, for no key update.
create or replace function taskrunner_private.lock_tasks(p_ids uuid[], p_wait boolean) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_timeout text := current_setting('lock_timeout');
  v_end timestamptz;
  v_locked bigint;
begin
  if p_wait and (v_timeout = '0' or cardinality(p_ids) not between 2 and 1000) then
    perform from (
      select from taskrunner.task t where t.id = any(p_ids) order by t.rank for no key update
    ) locked;
    return true;
  elsif p_wait then
    v_end := clock_timestamp() + v_timeout::interval;
    perform set_config('lock_timeout',
      greatest(1, 1000 * extract(epoch from v_end - clock_timestamp()))::integer::text, true)
    from (
      select from taskrunner.task t where t.id = any(p_ids) order by t.rank for no key update
    ) locked;
    perform set_config('lock_timeout', v_timeout, true);
    return true;
  end if;

  select count(*) into v_locked from (
    select from taskrunner.task t where t.id = any(p_ids) order by t.rank for no key update skip locked
  ) locked;
  return v_locked = (select count(*) from taskrunner.task t where t.id = any(p_ids));
end $$;
