-- These tasks and everything below them.
-- Locks: none; the caller locks what it gets and calls again.
create or replace function taskrunner_private.descendants(p_ids uuid[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return (
    with recursive below (id) as (
      select id from unnest(p_ids) as top (id)
      union
      select child.id
      from below
      cross join lateral (
        select l.child_id as id from taskrunner.link l where l.parent_id = below.id offset 0) child
    )
    select coalesce(array_agg(id), '{}') from below
  );
end $$;
