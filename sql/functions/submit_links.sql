-- The links among the entries of a request, each end as the entry's position from 1, sorted by parent: the input of
-- topological_order. Takes any request: what cannot be a link is left out, also what points to its own task.
-- linked: nothing was left out, and nothing is wrong with the local ids and the dependencies; link_errors would find no fault.
-- Nested loops are off so that local ids are looked up by hash however many there are.
-- Locks: none. Called by: graph_links.
create or replace function taskrunner_private.submit_links(
  p_tasks jsonb, out parents integer[], out children integer[], out required boolean[], out linked boolean
) language plpgsql stable set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_hashjoin = on set jit = off as $$
begin
  with entry as materialized (
    select x.n::integer, x.task ->> 'id' as id, x.task -> 'dependencies' as dependencies
    from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
    where jsonb_typeof(x.task) = 'object' and jsonb_typeof(x.task -> 'id') = 'string'
  ), parent as materialized (
    select id, min(n) as n from entry group by id
  ), dependency as materialized (
    select e.n, case when jsonb_typeof(d -> 'id') = 'string' then d ->> 'id' end as parent,
      coalesce(d -> 'requires_success' = 'true', false) as required,
      coalesce(jsonb_typeof(d -> 'requires_success') = 'boolean' and not d ? 'task_id', false) as good
    from entry e
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(e.dependencies) = 'array' then e.dependencies else '[]' end) d
  )
  select array_agg(l.parent), array_agg(l.child), array_agg(l.required),
    jsonb_array_length(p_tasks) = (select count(*) from parent where not taskrunner_private.is_blank(id))
      and (select count(*) from dependency) = count(*) filter (where l.good and l.pair is distinct from l.last)
  into parents, children, required, linked
  from (
    select s.*, lag(s.pair) over (order by s.pair) as last
    from (
      select p.n as parent, d.n as child, p.n::bigint << 32 | d.n as pair, d.required, d.good
      from dependency d
      join parent p on p.id = d.parent
      where p.n <> d.n) s
    order by s.pair) l;
end $$;
