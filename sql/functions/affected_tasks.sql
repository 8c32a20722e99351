-- What the end of tasks touches: all that fails with p_failing (the transitive closure over required links to tasks that
-- still wait, contract 6.1 rule 3), and the children that follow p_ending and all of these. One recursion: a child over
-- an optional link, or of a task that does not fail, is reached and goes no further. The lateral subquery with offset 0
-- keeps each step an index look-up per task: planned as a join, a chain of 100,000 takes minutes instead of a second.
-- expanding: those whose children were looked at; touched: all of them, the given ones included.
-- Locks: none; the caller locks what it gets and looks again.
create or replace function taskrunner_private.affected_tasks(
  p_ending uuid[], p_failing uuid[], out expanding uuid[], out touched uuid[]
) language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  with recursive reached (id, fails, expands) as (
    select id, true, true from unnest(p_failing) as failing (id)
    union
    select id, false, true from unnest(p_ending) as ending (id)
    union
    select child.id, child.fails, child.fails
    from reached
    cross join lateral (
      select c.id, reached.fails and l.requires_success as fails
      from taskrunner.link l
      join taskrunner.task c on c.id = l.child_id
      where reached.expands and l.parent_id = reached.id
        and taskrunner_private.is_waiting(c.status, c.paused_from)
      offset 0) child
  )
  select coalesce(array_agg(distinct id) filter (where expands), '{}'), coalesce(array_agg(distinct id), '{}')
  into expanding, touched
  from reached;
end $$;
