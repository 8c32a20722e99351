-- The newest task of a kind and status whose metadata has these values (contract 7.5), or null. p_values: an object of
-- top-level keys and what they must equal; an empty one fits every task. Running covers every active task, Paused every
-- paused one.
-- Live tasks are found in their narrow tables, however many have ended (live_tasks). If more than a thousand of them would have to be
-- read, and none of the first hundred has the values, these are rare: then the index of metadata has the match. Ended ones are
-- walked from the newest, by the index of their status; if a hundred do not fit and values are asked for, these are rare too.
-- What stays slow are values that very many tasks have and none of those that are walked: all of them are read.
-- Locks: none. Called by: dedupe_entries.
create or replace function taskrunner_private.duplicate_of(p_kind text, p_status taskrunner.status_kind, p_values jsonb)
returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = on set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_walked constant integer := 100;
  c_live constant integer := 1000;
  v_found uuid;
  v_live uuid[];
  v_newest uuid[];
begin
  if p_status in ('Waiting', 'Pending', 'Paused', 'Claimed', 'Running') then
    if p_values <> '{}' then
      v_live := array(select l.task_id from taskrunner_private.live_tasks(p_kind, p_status) l limit c_live + 1);
      if cardinality(v_live) <= c_live then
        select t.id into v_found
        from unnest(v_live) as live (id)
        cross join lateral (select * from taskrunner.task x where x.id = live.id offset 0) t
        where t.metadata @> p_values
          and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
          and case when p_status = 'Running' then taskrunner_private.is_active(t.status, t.paused_from) else t.status = p_status end
        order by t.seq desc
        limit 1;
        return v_found;
      elsif not exists (
        select from unnest(v_live[1:c_walked]) as live (id)
        cross join lateral (select x.metadata from taskrunner.task x where x.id = live.id offset 0) t
        where t.metadata @> p_values)
      then
        with hit as materialized (
          select t.id, t.seq from taskrunner.task t
          where t.metadata @> p_values and t.kind = p_kind
            and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
            and case when p_status = 'Running' then taskrunner_private.is_active(t.status, t.paused_from) else t.status = p_status end
        )
        select h.id into v_found from hit h order by h.seq desc limit 1;
        return v_found;
      end if;
    end if;
    select live.task_id into v_found
    from (select l.task_id, l.seq from taskrunner_private.live_tasks(p_kind, p_status) l order by l.seq desc) live
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
