-- Delivers again what ended in one state, of all that filters leave (contract 4.13): one bounded chunk, oldest first.
-- Null filters leave everything; Start deliveries are stepped over.
-- p_status: Failed, Delivered or Canceled. p_to null: up to now, so that a replay never meets what came after it began.
-- p_after_at, p_after_id: the last delivery of the chunk before. p_limit: how many to look at.
-- Returns one row: how many it looked at, less than p_limit when that was the end; how many it made due; the last one,
-- and p_to for the next chunk.
-- Locks: rows of delivery by id, as settle_deliveries. Writes what make_due writes.
create or replace function taskrunner_private.replay_deliveries(
  p_status taskrunner.delivery_status, p_trigger taskrunner.trigger_kind, p_task_id uuid, p_batch_id uuid, p_host text,
  p_from timestamptz, p_to timestamptz, p_after_at timestamptz, p_after_id uuid, p_limit integer
) returns table (looked_at integer, replayed integer, last_at timestamptz, last_id uuid, until timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
  v_until timestamptz := coalesce(p_to, now());
  v_from timestamptz := greatest(p_from,
    (select b.created_at from taskrunner.batch b where b.id = p_batch_id), '-infinity');   -- nothing is older than its batch
  v_seen uuid[];
  v_at timestamptz[];
  v_ids uuid[];
begin
  -- Planned with the values at hand: which index serves depends on them.
  execute format($q$
    select coalesce(array_agg(c.id order by c.created_at, c.id), '{}'), array_agg(c.created_at order by c.created_at, c.id)
    from (
      select d.created_at, d.%2$I as id from taskrunner_private.%1$I d
      where (d.created_at, d.%2$I) > ($1, $2) and d.created_at >= $3 and d.created_at <= $4 %3$s
      order by d.created_at, d.%2$I
      limit $5) c
    $q$,
    case when p_task_id is null and p_status = 'Failed' then 'troubled_delivery' else 'delivery' end,
    case when p_task_id is null and p_status = 'Failed' then 'delivery_id' else 'id' end,
    case when p_task_id is not null then 'and d.task_id = $6' else '' end)
  into v_seen, v_at
  using coalesce(p_after_at, '-infinity'), coalesce(p_after_id, '00000000-0000-0000-0000-000000000000'), v_from, v_until,
    p_limit, p_task_id;

  v_ids := array(
    select d.id
    from unnest(v_seen) seen (id)
    cross join lateral (select * from taskrunner_private.delivery x where x.id = seen.id offset 0) d
    cross join lateral (select x.params from taskrunner.action x where x.id = d.action_id offset 0) a
    where d.status = p_status and d.trigger <> 'Start' and (p_trigger is null or d.trigger = p_trigger)
      and (p_task_id is null or d.task_id = p_task_id) and (p_batch_id is null or d.batch_id = p_batch_id)
      and (p_host is null or taskrunner_private.has_host(a.params ->> 'url', p_host)));
  perform from (
    select from taskrunner_private.delivery d where d.id = any(v_ids) order by d.id for no key update) locked;
  v_ids := array(select d.id from taskrunner_private.delivery d where d.id = any(v_ids) and d.status = p_status);
  if v_ids <> '{}' then
    perform taskrunner_private.make_due(v_ids);
  end if;
  return query select cardinality(v_seen), cardinality(v_ids), v_at[cardinality(v_at)], v_seen[cardinality(v_seen)], v_until;
end $$;
