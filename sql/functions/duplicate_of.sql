-- The newest task of a kind and status whose metadata has these values, or null; found by the index of kinds and values. For values
-- that few tasks of the kind have, whatever their status: all of these are read. An empty object fits every task, as in
-- duplicates_of; of an active status, which is the only one that gets here, the active tasks of the kind are read.
-- Locks: none. Called by: duplicates_of.
create or replace function taskrunner_private.duplicate_of(p_kind text, p_status taskrunner.status_kind, p_values jsonb)
returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off as $$
declare
  v_found uuid;
begin
  if p_values = '{}' then
    select t.id into v_found
    from (select a.task_id from taskrunner_private.active_task a where a.kind = p_kind order by a.seq desc) live
    cross join lateral (select x.id, x.status, x.paused_from from taskrunner.task x where x.id = live.task_id offset 0) t
    where taskrunner_private.status_fits(p_status, t.status, t.paused_from)
    limit 1;
    return v_found;
  end if;
  with hit as materialized (
    select t.id, t.seq from taskrunner.task t
    where jsonb_set('{}', array[t.kind], t.metadata) @> jsonb_build_object(p_kind, p_values) and jsonb_typeof(t.metadata) = 'object'
      and t.kind = p_kind and taskrunner_private.status_fits(p_status, t.status, t.paused_from)
      and not exists (select from jsonb_each(p_values) v where t.metadata -> v.key is distinct from v.value)
  )
  select h.id into v_found from hit h order by h.seq desc limit 1;
  return v_found;
end $$;
