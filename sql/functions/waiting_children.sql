-- The children of these tasks that follow their parents, each once.
-- Locks: none; the caller locks what it gets and calls again.
create or replace function taskrunner_private.waiting_children(p_parents uuid[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  return (
      select coalesce(array_agg(distinct child.id), '{}')
      from unnest(p_parents) as parent (id)
      cross join lateral (
        select c.id
        from taskrunner.link l
        join taskrunner.task c on c.id = l.child_id
        where l.parent_id = parent.id and taskrunner_private.is_waiting(c.status, c.paused_from)
        offset 0) child
  );
end $$;
