-- Locks tasks in rank order, the one order in which anybody waits for tasks, and says whether it got them all. With
-- p_wait it waits and the caller holds the graph lock; without, tasks that somebody else holds are left out.
-- PostgreSQL grants each lock its own lock_timeout. For up to 1,000 tasks it is here one for all of them together: the outer
-- select sees each row when it is locked and the next is not yet, and leaves that one the time that remains.
-- Each task is looked up by a join: for every row that changed while it was waited for, PostgreSQL evaluates the query
-- again, and with id = any(p_ids) it would sort the array again each time (3,000 tasks that were being started took 36 s).
-- Each only once: a second lock of a row that changed meanwhile is taken by way of its old version, at which whoever waits
-- for us may stand already, and that is a deadlock. One alone needs none of this.
-- Locks: rows of task by rank, for no key update.
create or replace function taskrunner_private.lock_tasks(p_ids uuid[], p_wait boolean) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_timeout text := current_setting('lock_timeout');
  v_end timestamptz;
  v_locked bigint;
begin
  if p_wait and cardinality(p_ids) = 1 then
    perform from taskrunner.task t where t.id = p_ids[1] for no key update;
    return true;
  elsif p_wait and (v_timeout = '0' or cardinality(p_ids) not between 2 and 1000) then
    perform from (
      select from (select distinct unnest(p_ids)) as given (id) join taskrunner.task t on t.id = given.id
      order by t.rank for no key update of t
    ) locked;
    return true;
  elsif p_wait then
    v_end := clock_timestamp() + v_timeout::interval;
    perform set_config('lock_timeout',
      greatest(1, 1000 * extract(epoch from v_end - clock_timestamp()))::integer::text, true)
    from (
      select from (select distinct unnest(p_ids)) as given (id) join taskrunner.task t on t.id = given.id
      order by t.rank for no key update of t
    ) locked;
    perform set_config('lock_timeout', v_timeout, true);
    return true;
  end if;

  select count(*) into v_locked from (
    select from (select distinct unnest(p_ids)) as given (id) join taskrunner.task t on t.id = given.id
    order by t.rank for no key update of t skip locked
  ) locked;
  return v_locked = (select count(*) from (select distinct unnest(p_ids)) as given (id) join taskrunner.task t on t.id = given.id);
end $$;
