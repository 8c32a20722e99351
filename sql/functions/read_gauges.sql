-- What the metrics show of the database (contract 11), a row for each value: tasks_by_status, running_tasks_by_kind (label null: all
-- other kinds), oldest_pending_age_seconds, deliveries_by_status, deliveries_oldest_due_age_seconds. History is not read: the queues
-- are counted in their indexes, rows are looked up for c_most of each at most. Of more than that the newest c_most claims are told
-- apart, older ones have started long ago; and the triggers of deliveries are as those of c_most: the oldest that are due, the newest
-- in trouble.
-- Of Paused there are two rows, which add up: tasks that were, and were not, active before.
-- Locks: none.
create or replace function taskrunner_private.read_gauges()
returns table (gauge text, label text, second_label text, value double precision)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_most constant integer := 10000;
  c_kinds constant integer := 200;
  v_now timestamptz := clock_timestamp();
  v_hosts text[] := array(select h.host from taskrunner_private.held_hosts() h);
  v_active bigint;
  v_due bigint;
  v_troubled bigint;
begin
  -- Each state by an index of its own.
  return query
  select 'tasks_by_status', c.status, null::text, sum(c.n)::double precision
  from (
    select 'Waiting' as status, count(*) as n from taskrunner_private.queued_task q where q.state = 'waiting'
    union all select 'Pending', count(*) from taskrunner_private.queued_task q where q.state = 'parked'
    union all select 'Pending', count(*) from taskrunner_private.queued_task q where q.state = 'scheduled'
    union all select 'Pending', count(*) from taskrunner_private.queued_task q where q.state = 'ready' and not q.has_rules
    union all select 'Pending', count(*) from taskrunner_private.queued_task q where q.state = 'ready' and q.has_rules
    union all select 'Paused', count(*) from taskrunner_private.queued_task q where q.state = 'paused'
  ) c
  group by c.status;

  v_active := (select count(*) from taskrunner_private.active_task);
  return query
  with newest as materialized (
    select t.status::text as status, a.kind
    from (select x.task_id, x.kind from taskrunner_private.active_task x order by x.claimed_at desc limit c_most) a
    cross join lateral (select x.status from taskrunner.task x where x.id = a.task_id offset 0) t
  ), older as materialized (
    select 'Running' as status, x.kind from taskrunner_private.active_task x
    where v_active > c_most order by x.claimed_at desc offset c_most
  ), kind as (
    select a.kind, count(*) as n from (select * from newest union all select * from older) a where a.status = 'Running' group by a.kind
  ), ranked as (
    select k.kind, k.n, row_number() over (order by k.n desc, k.kind) <= c_kinds as named from kind k
  )
  select 'tasks_by_status', s.status, null::text, (
    select count(*) from (select * from newest union all select * from older) a where a.status = s.status)::double precision
  from unnest(array['Claimed', 'Running', 'Paused']) s (status)
  union all
  select 'running_tasks_by_kind', case when r.named then r.kind end, null, sum(r.n)::double precision from ranked r group by 2;

  -- The first of each priority that its host lets start, among so many.
  return query
  with recursive priority (p) as (
    select max(q.priority) from taskrunner_private.queued_task q where q.state = 'ready' and not q.has_rules
    union all
    select (select max(q.priority) from taskrunner_private.queued_task q where q.state = 'ready' and not q.has_rules and q.priority < x.p)
    from priority x where x.p is not null
  ), first as (
    select (
      select f.created_at from (
        select q.created_at, q.host from taskrunner_private.queued_task q
        where q.state = 'ready' and not q.has_rules and q.priority = x.p order by q.seq limit c_most) f
      where f.host is null or f.host <> all(v_hosts) limit 1) as created_at
    from (select * from priority limit 100) x where x.p is not null
    union all (
    select f.created_at from (
      select q.created_at, q.host from taskrunner_private.queued_task q
      where q.state = 'ready' and q.has_rules order by q.priority desc, q.seq limit c_most) f
    where f.host is null or f.host <> all(v_hosts) limit 1)
  )
  select 'oldest_pending_age_seconds', null::text, null::text,
    coalesce(greatest(extract(epoch from v_now - min(f.created_at)), 0), 0)::double precision
  from first f;

  v_due := (select count(*) from taskrunner_private.due_delivery);
  v_troubled := (select count(*) from taskrunner_private.troubled_delivery);
  return query
  with due as materialized (
    select d.trigger::text as trigger, q.leased_until > v_now as sending
    from (select x.delivery_id, x.leased_until from taskrunner_private.due_delivery x order by x.next_try_at limit c_most) q
    cross join lateral (select x.trigger from taskrunner_private.delivery x where x.id = q.delivery_id offset 0) d
  ), troubled as materialized (
    select d.trigger::text as trigger, case when d.status <> 'Pending' then d.status::text when c.task_id is null then 'Pending'
      else 'Sending' end as status
    from (select x.delivery_id from taskrunner_private.troubled_delivery x order by x.created_at desc limit c_most) f
    cross join lateral (select x.* from taskrunner_private.delivery x where x.id = f.delivery_id offset 0) d
    left join lateral (select x.task_id from taskrunner_private.active_task x where x.task_id = d.task_id offset 0) c on true
    where d.status = 'Failed' or d.trigger = 'Start'
  ), counted as (
    select d.trigger, case when d.sending then 'Sending' else 'Pending' end as status,
      case when d.sending then 1 else greatest(v_due::double precision / c_most, 1) end as weight
    from due d
    union all
    select f.trigger, f.status, greatest(v_troubled::double precision / c_most, 1) from troubled f
  )
  select 'deliveries_by_status', lower(t.trigger collate "C"), s.status, (
    select coalesce(round(sum(c.weight)), 0) from counted c where c.trigger = t.trigger and c.status = s.status)
  from unnest(array['Start', 'End', 'Cancel']) t (trigger)
  cross join unnest(array['Pending', 'Sending', 'Failed']) s (status);

  return query
  select 'deliveries_oldest_due_age_seconds', null::text, null::text, coalesce((
    select greatest(extract(epoch from v_now - q.next_try_at), 0)::double precision
    from taskrunner_private.due_delivery q
    where q.next_try_at <= v_now and (q.leased_until is null or q.leased_until < v_now)
    order by q.next_try_at limit 1), 0);
end $$;
