-- What a run of prune would remove now. It counts in one statement, from the side of what stays: tasks that are linked with a living one,
-- and those with a delivery that waits; so it costs as much as there is to count, and as there are living tasks.
-- Locks: none.
create or replace function taskrunner_private.prune_preview(p_days integer)
returns table (tasks bigint, batches bigint, deliveries bigint, attempts bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_mergejoin = off set jit = off set work_mem = '32MB' as $$
#variable_conflict use_column
declare
  v_before timestamptz := taskrunner_private.retention_moment(p_days);
begin
  return query
  with live as materialized (
    select q.task_id from taskrunner_private.queued_task q
    union all
    select a.task_id from taskrunner_private.active_task a
  ), kept as materialized (
    select l.parent_id as task_id
    from live
    cross join lateral (select x.parent_id from taskrunner.link x where x.child_id = live.task_id offset 0) l
    union
    select l.child_id
    from live
    cross join lateral (select x.child_id from taskrunner.link x where x.parent_id = live.task_id offset 0) l
    union
    select d.task_id
    from taskrunner_private.due_delivery q
    cross join lateral (select x.task_id from taskrunner_private.delivery x where x.id = q.delivery_id offset 0) d
  ), removed as (
    select d.n, d.tries
    from taskrunner_private.ended_task e
    cross join lateral (
      select count(*) as n, coalesce(sum(x.tries), 0) as tries from taskrunner_private.delivery x where x.task_id = e.task_id
      offset 0) d
    where e.ended_at < v_before and e.task_id not in (select k.task_id from kept k)
  )
  select count(*), (
      select count(*) from taskrunner.batch b
      where b.created_at < v_before
        and (select t.id from taskrunner.task t where t.batch_id = b.id limit 1) is not null
        and (
          select t.id from taskrunner.task t
          where t.batch_id = b.id and ((t.ended_at < v_before) is not true or t.id in (select k.task_id from kept k))
          order by t.created_at desc, t.seq desc
          limit 1) is null),
    coalesce(sum(r.n), 0)::bigint, coalesce(sum(r.tries), 0)::bigint
  from removed r;
end $$;
