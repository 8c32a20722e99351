-- The newest task of a kind and status whose metadata has these values (contract 7.5), or null. p_values: an object of
-- top-level keys and what they must equal; an empty one fits every task. Running covers every active task, Paused every
-- paused one.
-- Live tasks are found in their narrow tables, however many have ended. Ended ones are walked from the newest, by the index
-- of their status; if a hundred do not fit and values are asked for, these are rare: then the index of metadata has them.
-- Locks: none. Called by: dedupe_entries.
create or replace function taskrunner_private.duplicate_of(p_kind text, p_status taskrunner.status_kind, p_values jsonb)
returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = on set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_walked constant integer := 100;
  v_found uuid;
  v_newest uuid[];
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
    where (p_values = '{}' or t.metadata @> p_values)
      and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
    limit 1;
    return v_found;
  end if;

  if p_values = '{}' then
    select e.task_id into v_found from taskrunner_private.ended_task e
    where e.status = p_status and e.kind = p_kind
    order by e.created_at desc, e.seq desc
    limit 1;
    return v_found;
  end if;
  v_newest := array(
    select e.task_id from taskrunner_private.ended_task e
    where e.status = p_status
    order by e.created_at desc, e.seq desc
    limit c_walked);
  select t.id into v_found
  from unnest(v_newest) with ordinality as e (id, n)
  cross join lateral (
    select x.id, x.kind, x.metadata from taskrunner.task x where x.id = e.id offset 0) t
  where t.kind = p_kind and t.metadata @> p_values
    and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
  order by e.n
  limit 1;
  if v_found is null and cardinality(v_newest) = c_walked then
    with hit as materialized (
      select t.id, t.created_at, t.seq from taskrunner.task t
      where t.metadata @> p_values and t.kind = p_kind and t.status = p_status
        and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
    )
    select h.id into v_found from hit h order by h.created_at desc, h.seq desc limit 1;
  end if;
  return v_found;
end $$;
