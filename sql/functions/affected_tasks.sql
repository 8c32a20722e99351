-- What the end of tasks touches: all that fails with p_failing (the transitive closure over required links to tasks that
-- still wait, contract 6.1 rule 3), and the children that follow p_ending and all of these. One recursion: a child over
-- an optional link, or of a task that does not fail, is reached and goes no further. The lateral subquery
-- with offset 0 and the scalar one in it keep each step an index look-up, whatever statistics say: planned as a join, a
-- chain of 100,000 takes minutes instead of a second, and a wide fan-out reads all links once per parent.
-- The given ones are among the result; a task reached in two ways may stand in it twice.
-- Locks: none; the caller locks what it gets and looks again.
create or replace function taskrunner_private.affected_tasks(
  p_ending uuid[], p_failing uuid[]
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return (
    with recursive reached (id, fails, expands) as (
      select id, true, true from unnest(p_failing) as failing (id)
      union
      select id, false, true from unnest(p_ending) as ending (id)
      union
      select child.id, child.fails, child.fails
      from reached
      cross join lateral (
        select l.child_id as id, reached.fails and l.requires_success as fails
        from taskrunner.link l
        where reached.expands and l.parent_id = reached.id
          and (select taskrunner_private.is_waiting(c.status, c.paused_from) from taskrunner.task c where c.id = l.child_id)
        offset 0) child
    )
    select coalesce(array_agg(id), '{}') from reached
  );
end $$;
