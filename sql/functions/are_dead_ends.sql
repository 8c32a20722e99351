-- Those of p_ids that have not ended, and have children, all of which have. Children are looked at from the youngest: the
-- oldest ones end first, as a rule, and one that lives is enough.
-- Locks: none. Called by: drain_dead_ends, before and after it locks.
create or replace function taskrunner_private.are_dead_ends(p_ids uuid[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return array(
    select parent.id
    from unnest(p_ids) as given (id)
    cross join lateral (
      select t.id from taskrunner.task t
      where t.id = given.id and not taskrunner_private.is_terminal(t.status)
      offset 0) parent
    where exists (select from taskrunner.link l where l.parent_id = parent.id)
      and (
        select l.child_id
        from taskrunner.link l
        where l.parent_id = parent.id
          and not (select taskrunner_private.is_terminal(c.status) from taskrunner.task c where c.id = l.child_id)
        order by l.child_id desc
        limit 1
      ) is null);
end $$;
