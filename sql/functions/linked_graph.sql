-- The links of a request of which entries were left out, as valid_graph gives them. Dependencies on these may close a cycle
-- now, also of a task with itself.
-- Locks: none. SQLSTATE: TR003. Called by: submit.
create or replace function taskrunner_private.linked_graph(
  p_tasks jsonb, out tasks jsonb, out parents integer[], out children integer[], out required boolean[],
  out linked boolean, out ordered integer[]
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_cycle text;
  v_fault text;
begin
  select 'dependencies: dependency cycle: ' || (task ->> 'id') || ' -> ' || (task ->> 'id') into v_fault
  from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
  where task -> 'dependencies' @> jsonb_build_array(jsonb_build_object('id', task -> 'id'))
  order by n limit 1;
  select * into parents, children, required, linked, ordered, v_cycle from taskrunner_private.graph_links(p_tasks);
  v_fault := coalesce(v_fault, v_cycle);
  if v_fault is not null then
    raise exception 'Validation failed' using errcode = 'TR003', detail = jsonb_build_array(v_fault)::text;
  end if;
  tasks := p_tasks;
end $$;
