-- The ids of a page of deliveries, newest first (contract 4.13). Null filters leave everything.
-- p_after_at, p_after_id: the last delivery before the page.
-- Locks: none.
create or replace function taskrunner_private.list_deliveries(
  p_status taskrunner.delivery_status, p_trigger taskrunner.trigger_kind, p_task_id uuid, p_batch_id uuid, p_host text,
  p_from timestamptz, p_to timestamptz, p_after_at timestamptz, p_after_id uuid, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
  v_few constant integer := 50000;                           -- so many are sorted rather than searched for
  v_due bigint;                                              -- deliveries that are due, v_few at most; null: who cares
  v_source text;
  v_ids uuid[];
begin
  if p_status in ('Pending', 'Sending') then
    v_due := (select count(*) from (select from taskrunner_private.due_delivery limit v_few) q);
  end if;
  v_source := case
    when p_task_id is not null then
      'select * from taskrunner_private.delivery where task_id = $3 offset 0'
    when p_batch_id is not null then
      'select x.* from taskrunner.task t
       cross join lateral (select * from taskrunner_private.delivery y where y.task_id = t.id offset 0) x
       where t.batch_id = $4'
    when p_status = 'Failed' then
      'select f.created_at, f.delivery_id as id, x.status, x.trigger, x.task_id, x.batch_id, x.action_id
       from taskrunner_private.troubled_delivery f    -- in the order of its index
       cross join lateral (select * from taskrunner_private.delivery y where y.id = f.delivery_id offset 0) x'
    when v_due < v_few then
      'select x.* from (
         select delivery_id from taskrunner_private.due_delivery union all
         select delivery_id from taskrunner_private.troubled_delivery) f
       cross join lateral (select * from taskrunner_private.delivery y where y.id = f.delivery_id offset 0) x'
    else 'select * from taskrunner_private.delivery' end;
  -- Planned with the values at hand, so that absent filters vanish.
  execute format($q$
    select array(
      select d.id from (%s) d
      where ($2 is null or d.trigger = $2) and ($3 is null or d.task_id = $3) and ($4 is null or d.batch_id = $4)
        and d.created_at >= $6 and d.created_at <= $7
        and ($8 is null or (d.created_at, d.id) < ($8, $9))
        and ($1 is null or d.status = case $1 when 'Sending' then 'Pending' else $1 end)
        and ($1 is null or $1 not in ('Pending', 'Sending') or ($1 = 'Sending') = (  -- as the view says it
          exists (select from taskrunner_private.due_delivery q where q.delivery_id = d.id and q.leased_until > clock_timestamp())
          or d.trigger = 'Start' and exists (select from taskrunner_private.active_task c where c.task_id = d.task_id)))
        and ($5 is null or (
          select taskrunner_private.has_host(a.params ->> 'url', $5) from taskrunner.action a where a.id = d.action_id))
      order by d.created_at desc, d.id desc
      limit $11 offset $10)
    $q$, v_source)
  into v_ids
  using p_status, p_trigger, p_task_id, p_batch_id, p_host, coalesce(p_from, '-infinity'), coalesce(p_to, 'infinity'),
    p_after_at, p_after_id, p_skip, p_limit;
  return v_ids;
end $$;
