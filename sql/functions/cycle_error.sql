-- The fault of a request whose dependencies close a cycle, named by its local ids, the first entry first. Of a long cycle
-- the ends are shown.
-- Locks: none. Called by: graph_links.
create or replace function taskrunner_private.cycle_error(
  p_tasks jsonb, p_parents integer[], p_children integer[], p_order integer[]
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c_shown constant integer := 20;                            -- of each end
  v_cycle integer[] := taskrunner_private.find_cycle(jsonb_array_length(p_tasks), p_parents, p_children, p_order);
  v_n integer := cardinality(v_cycle) - 1;                   -- the first node is repeated at the end
  v_first integer;
  v_names text;
begin
  v_first := array_position(v_cycle, (select min(node) from unnest(v_cycle) node));
  v_cycle := v_cycle[v_first : v_n] || v_cycle[1 : v_first];
  select string_agg(case when c.step = c_shown + 1 and v_n >= 2 * c_shown then '…'
      else (select case when char_length(id) > 64 then left(id, 63) || '…' else id end from (select p_tasks -> (c.node - 1) ->> 'id') x (id))
    end, ' -> ' order by c.step)
  into v_names
  from unnest(v_cycle) with ordinality as c (node, step)
  where v_n < 2 * c_shown or c.step <= c_shown + 1 or c.step > v_n + 1 - c_shown;
  return 'dependencies: dependency cycle: ' || v_names;
end $$;
