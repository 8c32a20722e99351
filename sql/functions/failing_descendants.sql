-- All tasks that fail when p_failed fail: the transitive closure over required links to tasks that still wait
-- (contract 6.1 rule 3). The lateral subquery with offset 0 keeps each step an index look-up per task: planned as a
-- join, a chain of 100,000 takes minutes instead of a second.
-- Locks: none; the caller locks what it gets and calls again.
create or replace function taskrunner_private.failing_descendants(p_failed uuid[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  return (
      with recursive failing (id) as (
        select child.id
        from unnest(p_failed) as parent (id)
        cross join lateral (
          select c.id
          from taskrunner.link l
          join taskrunner.task c on c.id = l.child_id
          where l.parent_id = parent.id and l.requires_success
            and taskrunner_private.is_waiting(c.status, c.paused_from)
          offset 0) child
        union
        select child.id
        from failing
        cross join lateral (
          select c.id
          from taskrunner.link l
          join taskrunner.task c on c.id = l.child_id
          where l.parent_id = failing.id and l.requires_success
            and taskrunner_private.is_waiting(c.status, c.paused_from)
          offset 0) child
      )
      select coalesce(array_agg(id), '{}') from failing
  );
end $$;
