-- All tasks that fail when p_failed fail: the transitive closure over required links to tasks that still wait
-- (contract 6.1 rule 3). Subqueries as in affected_tasks.
-- Locks: none; the caller locks what it gets and calls again.
create or replace function taskrunner_private.failing_descendants(p_failed uuid[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return (
    with recursive failing (id, given) as (
      select id, true from unnest(p_failed) as failed (id)
      union
      select child.id, false
      from failing
      cross join lateral (
        select l.child_id as id
        from taskrunner.link l
        where l.parent_id = failing.id and l.requires_success
          and (select taskrunner_private.is_waiting(c.status, c.paused_from) from taskrunner.task c where c.id = l.child_id)
        offset 0) child
    )
    select coalesce(array_agg(id), '{}') from failing where not given
  );
end $$;
