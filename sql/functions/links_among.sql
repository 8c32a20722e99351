-- The links among these tasks, each end as its position in the array, sorted by parent: the input of
-- topological_order. Nested loops are off so that positions are looked up by hash however many there are; the
-- lateral index look-up of the links is not touched by that.
-- Locks: none. Called by: raise_ranks.
create or replace function taskrunner_private.links_among(
  p_ids uuid[], out parents integer[], out children integer[]
) language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_hashjoin = on set enable_seqscan = off set jit = off as $$
begin
  with node as materialized (
    select id, n::integer from unnest(p_ids) with ordinality as x (id, n)
  ), edge as materialized (
    select node.n, l.child_id
    from node
    cross join lateral (
      select link.child_id from taskrunner.link where link.parent_id = node.id offset 0) l
  )
  select array_agg(edge.n order by edge.n), array_agg(node.n order by edge.n)
  into parents, children
  from edge
  join node on node.id = edge.child_id;
end $$;
