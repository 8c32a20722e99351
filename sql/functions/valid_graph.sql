-- The graph that a request in either form describes, or the error that lists all that is wrong with it: the first 100
-- faults, then how many more there are. parents, children, required: the links among its entries, linked: all dependencies are
-- such links, ordered: the entries sorted (graph_links).
-- p_known: faults that the caller found (graph_errors); with any there is always an error.
-- Locks: none. SQLSTATEs: TR002 (unknown task_id), TR003 (cycle), TR004 (rules), TR006 (limit), if nothing else is wrong;
-- TR007 otherwise. DETAIL is the list of faults as a JSON array, CONSTRAINT request_size tells the count of tasks from
-- other limits. Called by: submit; POST /task, when it knows faults.
create or replace function taskrunner_private.valid_graph(
  p_body jsonb, p_known jsonb,
  out tasks jsonb, out parents integer[], out children integer[], out required boolean[],
  out linked boolean, out ordered integer[]
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_shape text;
  v_cycle text;
  v_faults text[];
  v_codes text[] := '{}';
  v_total bigint := 0;
begin
  tasks := case jsonb_typeof(p_body) when 'array' then p_body when 'object' then p_body -> 'tasks' end;
  v_shape := case
    when jsonb_typeof(p_body) not in ('array', 'object') then 'body: must be an array of tasks or an object with tasks'
    when coalesce(jsonb_typeof(tasks), 'null') <> 'array' then 'tasks: must be an array of tasks' end;
  if v_shape is not null then
    tasks := '[]';
  end if;
  if jsonb_array_length(tasks) > 100000 then
    raise exception 'at most 100000 tasks can be created at once' using errcode = 'TR006', constraint = 'request_size',
      detail = jsonb_build_array('tasks: must be at most 100000')::text;
  end if;

  select * into parents, children, required, linked, ordered, v_cycle from taskrunner_private.graph_links(tasks);
  -- Most requests are seen to be good at once. To look for faults is a large query, which each session has to plan.
  if not linked or p_known <> '[]' or p_body ?| array['name', 'metadata', 'dead_end_cancel']
    or exists (select from jsonb_array_elements(tasks) task where taskrunner_private.is_plain_entry(task) is not true)
  then
    select array_agg(e.detail order by e.n), coalesce(max(e.total), 0), coalesce(max(e.codes), '{}')
    into v_faults, v_total, v_codes
    from taskrunner_private.graph_errors(p_body, tasks, linked, p_known) with ordinality e (detail, total, codes, n);
  end if;
  if v_cycle is not null then
    v_faults := v_faults || v_cycle;
    v_total := v_total + 1;
    v_codes := v_codes || 'TR003'::text;
  end if;

  if v_shape is not null then
    v_faults := v_faults || v_shape;
    v_total := v_total + 1;
    v_codes := v_codes || 'TR007'::text;
  end if;

  if v_total > 0 then
    raise exception 'Validation failed' using errcode = case when v_codes[1] = all(v_codes) then v_codes[1] else 'TR007' end,
      detail = to_jsonb(taskrunner_private.first_faults(v_faults, v_total))::text;
  end if;
end $$;
