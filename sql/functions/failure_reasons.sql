-- For tasks that fail because required parents failed: the direct parent that the reason names, of several the one
-- inserted first. p_failed: all that failed. A function of its own for the same reason as children_of.
-- Locks: none. Called by: fail_tasks.
create or replace function taskrunner_private.failure_reasons(
  p_failed uuid[], out ids uuid[], out parent_ids uuid[]
) language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  select array_agg(r.child_id), array_agg(r.parent_id)
  into ids, parent_ids
  from (
    select distinct on (l.child_id) l.child_id, parent.id as parent_id
    from unnest(p_failed) as parent (id)
    cross join lateral (
      select link.child_id from taskrunner.link
      where link.parent_id = parent.id and link.requires_success offset 0) l
    cross join lateral (
      select p.seq from taskrunner.task p where p.id = parent.id offset 0) p
    order by l.child_id, p.seq) r;
end $$;
