-- The nodes 1..p_n of a graph, parents before children (Kahn 1962), in linear time. Edges come as two arrays of equal
-- length, sorted by parent. A result shorter than p_n leaves out the nodes that stand on a cycle or below one.
-- Locks: none. Called by: submit, raise_ranks.
create or replace function taskrunner_private.topological_order(
  p_n integer, p_parents integer[], p_children integer[]
) returns integer[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_edges integer := coalesce(cardinality(p_parents), 0);
  v_unmet integer[] := array_fill(0, array[p_n]);          -- parents of a node that have no place yet
  v_first integer[] := array_fill(0, array[p_n]);          -- a node's first edge
  v_order integer[] := array_fill(0, array[p_n]);
  v_placed integer := 0;
  v_next integer := 1;
  v_edge integer;
  v_node integer;
begin
  for e in reverse v_edges .. 1 loop
    v_unmet[p_children[e]] := v_unmet[p_children[e]] + 1;
    v_first[p_parents[e]] := e;
  end loop;
  for n in 1 .. p_n loop
    if v_unmet[n] = 0 then
      v_placed := v_placed + 1;
      v_order[v_placed] := n;
    end if;
  end loop;
  while v_next <= v_placed loop
    v_node := v_order[v_next];
    v_next := v_next + 1;
    v_edge := v_first[v_node];
    while v_edge between 1 and v_edges and p_parents[v_edge] = v_node loop
      v_unmet[p_children[v_edge]] := v_unmet[p_children[v_edge]] - 1;
      if v_unmet[p_children[v_edge]] = 0 then
        v_placed := v_placed + 1;
        v_order[v_placed] := p_children[v_edge];
      end if;
      v_edge := v_edge + 1;
    end loop;
  end loop;
  return v_order[1 : v_placed];
end $$;
