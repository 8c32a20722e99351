-- The error of a request whose dependencies close a cycle, named by its local ids.
-- Locks: none. SQLSTATE: TR003. Called by: submit.
create or replace function taskrunner_private.raise_cycle(
  p_tasks jsonb, p_parents integer[], p_children integer[], p_order integer[]
) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_cycle text;
begin
  select string_agg(p_tasks -> (c.n - 1) ->> 'id', ' -> ' order by c.step) into v_cycle
  from unnest(taskrunner_private.find_cycle(jsonb_array_length(p_tasks), p_parents, p_children, p_order))
    with ordinality as c (n, step);
  raise exception 'Validation failed' using errcode = 'TR003',
    detail = jsonb_build_array('dependencies: dependency cycle: ' || v_cycle)::text;
end $$;
