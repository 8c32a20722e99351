-- One cycle of a graph that has no topological order, as nodes in the direction of the edges, the first one repeated
-- at the end. p_order is what topological_order returned; every node missing in it has a missing parent, so walking
-- upwards among the missing must come back to itself.
-- Locks: none. Called by: submit, raise_ranks.
create or replace function taskrunner_private.find_cycle(
  p_n integer, p_parents integer[], p_children integer[], p_order integer[]
) returns integer[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_placed boolean[] := array_fill(false, array[p_n]);
  v_parent integer[] := array_fill(0, array[p_n]);         -- one missing parent of each missing node
  v_step integer[] := array_fill(0, array[p_n]);
  v_cycle integer[];
  v_node integer;
  v_above integer;
  v_steps integer := 0;
begin
  for i in 1 .. coalesce(cardinality(p_order), 0) loop
    v_placed[p_order[i]] := true;
  end loop;
  for e in 1 .. coalesce(cardinality(p_parents), 0) loop
    if not v_placed[p_parents[e]] and not v_placed[p_children[e]] then
      v_parent[p_children[e]] := p_parents[e];
      v_node := p_children[e];
    end if;
  end loop;
  while v_step[v_node] = 0 loop
    v_steps := v_steps + 1;
    v_step[v_node] := v_steps;
    v_node := v_parent[v_node];
  end loop;
  -- Upwards first: adding at the front would copy the array each time.
  v_cycle := array[v_node];
  v_above := v_node;
  loop
    v_above := v_parent[v_above];
    v_cycle := v_cycle || v_above;
    exit when v_above = v_node;
  end loop;
  return array(select c.node from unnest(v_cycle) with ordinality as c (node, n) order by c.n desc);
end $$;
