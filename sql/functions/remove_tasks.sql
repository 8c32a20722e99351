-- Removes those of p_ids that are removable, with their links, actions and deliveries, and batches with their last task. Says how many
-- there were; attempts are tries of these deliveries.
-- It waits for nobody who holds a task, a delivery or a batch: what somebody else holds stays. Under the locks a task gets no link, no
-- action and no delivery, and none of its deliveries is replayed; a batch gets no task. Whoever waits for one of these rows finds it
-- gone, as after any DELETE.
-- It takes no graph lock: it needs no order, because it does not wait, and removing what has ended changes no rank.
-- Locks: rows of task by rank, then of delivery by id, then of batch, for update, skip locked. Only rows of link and action can be waited
-- for, when a DELETE by hand has one of their tasks: the caller bounds that. Writes (by triggers and foreign keys) task, link, action,
-- ended_task, delivery, delivery_try, troubled_delivery; batch.
-- Called by: prune.
create or replace function taskrunner_private.remove_tasks(
  p_ids uuid[], p_before timestamptz, out tasks integer, out batches integer, out deliveries integer, out attempts bigint
)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_ids uuid[];
  v_held uuid[];                                             -- of each delivery that is locked, its task
  v_batches uuid[];
begin
  batches := 0;
  deliveries := 0;
  attempts := 0;
  v_ids := taskrunner_private.removable_tasks(p_ids, p_before);
  v_ids := array(
    select t.id from unnest(v_ids) as given (id) join taskrunner.task t on t.id = given.id
    order by t.rank for update of t skip locked);
  v_held := array(
    select d.task_id from unnest(v_ids) as given (id) join taskrunner_private.delivery d on d.task_id = given.id
    order by d.id for update of d skip locked);
  -- In later statements, now that it cannot change.
  v_ids := array(
    select d.id
    from (
      select given.id, (select count(*) from taskrunner_private.delivery x where x.task_id = given.id) as n
      from unnest(v_ids) as given (id)
      union all
      select h.id, -1 from unnest(v_held) as h (id)) d
    group by d.id
    having sum(d.n) = 0);                                    -- all of its deliveries are locked
  v_ids := taskrunner_private.removable_tasks(v_ids, p_before);
  tasks := cardinality(v_ids);
  if tasks = 0 then
    return;
  end if;

  select count(*), coalesce(sum(d.tries), 0) into deliveries, attempts
  from unnest(v_ids) as given (id)
  cross join lateral (select x.tries from taskrunner_private.delivery x where x.task_id = given.id offset 0) d;
  v_batches := array(
    select distinct t.batch_id
    from unnest(v_ids) as given (id)
    cross join lateral (select x.batch_id from taskrunner.task x where x.id = given.id offset 0) t
    where t.batch_id is not null);
  delete from taskrunner.task t where t.id = any(v_ids);

  -- From the youngest: the oldest go first.
  v_batches := array(
    select b.id from unnest(v_batches) as b (id)
    where (
      select t.id from taskrunner.task t where t.batch_id = b.id order by t.created_at desc, t.seq desc limit 1) is null);
  v_batches := array(select b.id from taskrunner.batch b where b.id = any(v_batches) order by b.id for update skip locked);
  delete from taskrunner.batch b
  where b.id = any(v_batches) and (select t.id from taskrunner.task t where t.batch_id = b.id limit 1) is null;
  get diagnostics batches = row_count;
end $$;
