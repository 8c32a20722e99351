-- Everything that is wrong with a graph to be created (contract 9.1), entries in order: code is the SQLSTATE of the
-- kind of fault. The caller has made sure that p_tasks is an array of at most 100,000 elements. Cycles are found later,
-- when the links are known to be good.
-- Nested loops are off so that local ids are looked up by hash however many there are.
-- Locks: none. Called by: submit.
create or replace function taskrunner_private.submit_errors(p_body jsonb, p_tasks jsonb)
returns table (code text, detail text)
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_nestloop = off set jit = off as $$
begin
  return query
  with entry as materialized (
    select (x.n - 1)::integer as i, x.task
    from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
  ), good as materialized (
    select * from entry where jsonb_typeof(task) = 'object'
  ), field (i, place, path, message, code) as (
    select e.i, 0, '', 'must be an object', 'TR007' from entry e where jsonb_typeof(e.task) <> 'object'
    union all
    select g.i, f.place, f.path, f.message, f.code
    from good g
    cross join lateral (values
      (1, '.id', taskrunner_private.text_error(g.task -> 'id', 2147483647), 'TR007'),
      (2, '.name', taskrunner_private.text_error(g.task -> 'name', 255), 'TR007'),
      (3, '.kind', taskrunner_private.text_error(g.task -> 'kind', 100), 'TR007'),
      (4, '.timeout', taskrunner_private.integer_error(g.task -> 'timeout', 1, 86400), 'TR006'),
      (5, '.expected_count', taskrunner_private.integer_error(g.task -> 'expected_count', 0, 9223372036854775807), 'TR006'),
      (6, '.priority', taskrunner_private.integer_error(g.task -> 'priority', -1000, 1000), 'TR006'),
      (7, '.metadata', taskrunner_private.metadata_error(g.task -> 'metadata'), 'TR006'),
      (8, '.dead_end_barrier', case when coalesce(jsonb_typeof(g.task -> 'dead_end_barrier'), 'null')
        not in ('boolean', 'null') then 'must be true or false' end, 'TR007'),
      (20, '.rules', case
        when coalesce(jsonb_typeof(g.task -> 'rules'), 'null') not in ('array', 'null') then 'must be an array'
        when g.task -> 'rules' not in ('null', '[]') then 'is not supported yet' end, 'TR007'),
      (21, '.dedupe_strategy', case
        when coalesce(jsonb_typeof(g.task -> 'dedupe_strategy'), 'null') not in ('array', 'null') then 'must be an array'
        when g.task -> 'dedupe_strategy' not in ('null', '[]') then 'is not supported yet' end, 'TR007'),
      (22, '.retry', case when g.task -> 'retry' <> 'null' then 'is not supported yet' end, 'TR007'),
      (23, '.run_at', case when g.task -> 'run_at' <> 'null' then 'is not supported yet' end, 'TR007'),
      (40, '.dependencies', case when coalesce(jsonb_typeof(g.task -> 'dependencies'), 'null') not in ('array', 'null')
        then 'must be an array' end, 'TR007'),
      (11, '.on_failure', case when coalesce(jsonb_typeof(g.task -> 'on_failure'), 'null') not in ('array', 'null')
        then 'must be an array' end, 'TR007'),
      (12, '.on_success', case when coalesce(jsonb_typeof(g.task -> 'on_success'), 'null') not in ('array', 'null')
        then 'must be an array' end, 'TR007'),
      (13, '.on_cancel', case when coalesce(jsonb_typeof(g.task -> 'on_cancel'), 'null') not in ('array', 'null')
        then 'must be an array' end, 'TR007')
    ) f (place, path, message, code)
    where f.message is not null
  ), action (i, place, path, value) as (
    select g.i, 10, '.on_start', g.task -> 'on_start' from good g
    union all
    select g.i, x.place, '.' || x.key || '[' || a.n - 1 || ']', a.value
    from good g
    cross join (values (11, 'on_failure'), (12, 'on_success'), (13, 'on_cancel')) x (place, key)
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(g.task -> x.key) = 'array' then g.task -> x.key else '[]' end) with ordinality a (value, n)
  ), action_fault (i, place, path, message, code) as (
    select a.i, a.place, a.path || f.path, f.message, taskrunner_private.webhook_error_code(f.message)
    from action a
    cross join lateral (select
      case when a.value is null or jsonb_typeof(a.value) <> 'object' or a.value -> 'kind' is distinct from '"Webhook"'
        then '' else '.params' end,
      case when a.value is null or a.value = 'null' then 'is required'
           when jsonb_typeof(a.value) <> 'object' then 'must be an object'
           when coalesce(a.value -> 'kind', 'null') = 'null' then 'kind is required'
           when a.value -> 'kind' <> '"Webhook"' then 'kind must be Webhook'
           else taskrunner_private.webhook_error(a.value -> 'params') end) f (path, message)
    where f.message is not null
  ), local as materialized (
    select g.i, g.task ->> 'id' as id, min(g.i) over (partition by g.task ->> 'id') as first_i
    from good g
    where jsonb_typeof(g.task -> 'id') = 'string'
  ), dependency as materialized (
    select g.i, g.task ->> 'id' as child, (d.n - 1)::integer as j, d.value, taskrunner_private.dependency_error(d.value) as fault
    from good g
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(g.task -> 'dependencies') = 'array' then g.task -> 'dependencies' else '[]' end)
      with ordinality d (value, n)
  ), link_fault (i, place, path, message, code) as (
    select d.i, 41 + d.j, '.dependencies[' || d.j || ']' || split_part(d.fault, ': ', 1), split_part(d.fault, ': ', 2), 'TR007'
    from dependency d
    where d.fault is not null
    union all
    select d.i, 41 + d.j, '.dependencies[' || d.j || '].id',
      'names no entry of the request: ' || (d.value -> 'id')::text, 'TR007'
    from dependency d
    left join (select distinct id from local) l on l.id = d.value ->> 'id'
    where d.fault is null and jsonb_typeof(d.value -> 'id') = 'string' and l.id is null
    union all
    select d.i, 41 + d.j, '.dependencies[' || d.j || '].task_id', 'unknown task ' || (d.value ->> 'task_id'), 'TR002'
    from dependency d
    where d.fault is null and jsonb_typeof(d.value -> 'task_id') = 'string'
      and (select t.id from taskrunner.task t where t.id = taskrunner_private.to_uuid(d.value ->> 'task_id')) is null
    union all
    select d.i, 40, '.dependencies', 'a task cannot depend on itself: ' || to_json(d.child)::text, 'TR003'
    from dependency d
    where d.fault is null and d.value ->> 'id' = d.child
    group by d.i, d.child
    union all
    select d.i, 40, '.dependencies', 'names ' || to_json(d.parent)::text || ' more than once', 'TR007'
    from (
      select x.i, jsonb_typeof(x.value -> 'id') = 'string' as is_local,
        coalesce(x.value ->> 'id', taskrunner_private.to_uuid(x.value ->> 'task_id')::text) as parent
      from dependency x
      where x.fault is null) d
    group by d.i, d.is_local, d.parent
    having count(*) > 1
  ), fault (i, place, path, message, code) as (
    select * from field
    union all select * from action_fault
    union all select * from link_fault
    union all
    select l.i, 1, '.id', 'repeats ' || to_json(l.id)::text || ' of tasks[' || l.first_i || ']', 'TR007'
    from local l
    where l.i > l.first_i
  )
  select f.code, f.detail
  from (
    select f.i, f.place, f.code, 'tasks[' || f.i || ']' || f.path || ': ' || f.message as detail from fault f
    union all
    select -1, b.place, b.code, b.path || ': ' || b.message
    from (values
      (1, 'name', case when p_body -> 'name' <> 'null' then taskrunner_private.text_error(p_body -> 'name', 255) end, 'TR007'),
      (2, 'metadata', taskrunner_private.metadata_error(p_body -> 'metadata'), 'TR006'),
      (3, 'dead_end_cancel', case
        when coalesce(jsonb_typeof(p_body -> 'dead_end_cancel'), 'null') not in ('boolean', 'null') then 'must be true or false'
        when p_body -> 'dead_end_cancel' = 'true' then 'is not supported yet' end, 'TR007')
    ) b (place, path, message, code)
    where b.message is not null and jsonb_typeof(p_body) = 'object'
  ) f
  order by f.i < 0, f.i, f.place, f.detail;
end $$;
