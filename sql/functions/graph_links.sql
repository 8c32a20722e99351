-- The links among the entries of a request (submit_links) and an order in which parents come first.
-- linked: see submit_links. ordered: the entries' positions; null when the order of the request is such an order already. cycle: the
-- fault, if there is no such order.
-- Locks: none. Called by: valid_graph, linked_graph.
create or replace function taskrunner_private.graph_links(
  p_tasks jsonb, out parents integer[], out children integer[], out required boolean[],
  out linked boolean, out ordered integer[], out cycle text
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_n integer := jsonb_array_length(p_tasks);
begin
  select * into parents, children, required, linked from taskrunner_private.submit_links(p_tasks);
  if exists (select from unnest(parents, children) as l (parent, child) where parent > child) then
    ordered := taskrunner_private.topological_order(v_n, parents, children);
    if cardinality(ordered) < v_n then
      cycle := taskrunner_private.cycle_error(p_tasks, parents, children, ordered);
    end if;
  end if;
end $$;
