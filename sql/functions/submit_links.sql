-- The links among the entries of a request, each end as the entry's position from 1, sorted by parent: the input of
-- topological_order. Takes any request: what cannot be a link is left out, also what points to its own task.
-- Nested loops are off so that local ids are looked up by hash however many there are.
-- Locks: none. Called by: graph_links.
create or replace function taskrunner_private.submit_links(
  p_tasks jsonb, out parents integer[], out children integer[], out required boolean[]
) language plpgsql stable set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_hashjoin = on set jit = off as $$
begin
  with entry as materialized (
    select x.n::integer, x.task ->> 'id' as id, x.task -> 'dependencies' as dependencies
    from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
    where jsonb_typeof(x.task) = 'object' and jsonb_typeof(x.task -> 'id') = 'string'
  ), parent as (
    select id, min(n) as n from entry group by id
  ), dependency as (
    select e.n, d ->> 'id' as parent, coalesce(d -> 'requires_success' = 'true', false) as required
    from entry e
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(e.dependencies) = 'array' then e.dependencies else '[]' end) d
    where jsonb_typeof(d) = 'object' and jsonb_typeof(d -> 'id') = 'string'
  )
  select array_agg(l.parent), array_agg(l.child), array_agg(l.required)
  into parents, children, required
  from (
    select p.n as parent, d.n as child, d.required
    from dependency d
    join parent p on p.id = d.parent
    where p.n <> d.n
    order by p.n, d.n) l;
end $$;
