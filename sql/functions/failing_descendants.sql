-- All tasks that fail when p_failed fail: the transitive closure over required links to tasks that still wait
-- (contract 6.1 rule 3). Lateral subqueries with offset 0 as in affected_tasks.
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
        select l.child_id from taskrunner.link l
        where l.parent_id = failing.id and l.requires_success offset 0) l
      cross join lateral (
        select c.id from taskrunner.task c
        where c.id = l.child_id and taskrunner_private.is_waiting(c.status, c.paused_from) offset 0) child
    )
    select coalesce(array_agg(id), '{}') from failing where not given
  );
end $$;
