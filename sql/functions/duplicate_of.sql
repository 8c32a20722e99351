-- The newest task of a kind and status whose metadata has these values (contract 7.5), or null. p_values: an object of
-- top-level keys and what they must equal; an empty one fits every task. Running covers every active task, Paused every
-- paused one.
-- Live tasks are found in their narrow tables, however many have ended. Ended ones are walked from the newest, by the index
-- of their status; if some thousands do not fit and values are asked for, these are rare: then the index of metadata has them.
-- Locks: none. Called by: dedupe_entries.
create or replace function taskrunner_private.duplicate_of(p_kind text, p_status taskrunner.status_kind, p_values jsonb)
returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = on set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_walked constant integer := 2000;
  v_found uuid;
  v_walked integer;
begin
  if p_status in ('Waiting', 'Pending', 'Paused', 'Claimed', 'Running') then
    select live.task_id into v_found
    from (
      select q.task_id, q.seq from taskrunner_private.queued_task q
      where q.kind = p_kind and p_status in ('Waiting', 'Pending', 'Paused')
        and (q.state = 'waiting') = (p_status = 'Waiting') and (q.state = 'paused') = (p_status = 'Paused')
      union all
      select a.task_id, a.seq from taskrunner_private.active_task a
      where a.kind = p_kind and p_status in ('Paused', 'Claimed', 'Running')
      order by seq desc
    ) live
    cross join lateral (
      select t.metadata from taskrunner.task t
      where t.id = live.task_id and (p_status in ('Waiting', 'Pending', 'Running') or t.status = p_status)
      offset 0) t
    where not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
    limit 1;
    return v_found;
  end if;

  select walk.task_id, walk.n into v_found, v_walked
  from (
    select e.task_id, e.kind, row_number() over (order by e.created_at desc, e.seq desc) as n
    from (
      select * from taskrunner_private.ended_task e
      where e.status = p_status
      order by e.created_at desc, e.seq desc
      limit case when p_values <> '{}' then c_walked end
    ) e
  ) walk
  cross join lateral (select t.metadata from taskrunner.task t where t.id = walk.task_id offset 0) t
  where walk.kind = p_kind
    and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
  limit 1;
  if v_found is null and p_values <> '{}' then
    with hit as materialized (
      select t.id, t.created_at, t.seq from taskrunner.task t
      where t.metadata @> p_values and t.kind = p_kind and t.status = p_status
        and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
    )
    select h.id into v_found from hit h order by h.created_at desc, h.seq desc limit 1;
  end if;
  return v_found;
end $$;
