-- The children of tasks that have ended, with the number of these tasks among their parents, and of the required ones;
-- without those that have ended with them, which count no more: in a chain that fails these are all.
-- A function of its own because its joins are fixed to index look-ups, whatever statistics say about links: a setting
-- that must not reach the triggers which the caller's UPDATE fires.
-- Locks: none; the caller holds those of the children. Called by: triggers/task_500_propagate.sql.
create or replace function taskrunner_private.children_of(
  p_ended uuid[], out ids uuid[], out parents integer[], out required_parents integer[]
) language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  select array_agg(c.child_id), array_agg(c.parents), array_agg(c.required_parents)
  into ids, parents, required_parents
  from (
    select l.child_id, count(*)::integer as parents, (count(*) filter (where l.requires_success))::integer as required_parents
    from unnest(p_ended) as parent (id)
    cross join lateral (
      select link.child_id, link.requires_success
      from taskrunner.link
      where link.parent_id = parent.id
      offset 0) l
    where l.child_id not in (select unnest(p_ended))           -- hashed once, as the generic plan has it
    group by l.child_id) c;
end $$;
