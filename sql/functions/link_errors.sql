-- All that is wrong with the local ids and the dependencies of a request, cycles aside; entries that are no objects are left
-- out; at most 10,001 faults. i is the entry, place, at and path order its faults (graph_errors).
-- Nested loops are off so that local ids are looked up by hash however many there are; existing tasks are looked up by a
-- subquery, which that does not touch.
-- Locks: none. Called by: graph_errors.
create or replace function taskrunner_private.link_errors(p_tasks jsonb)
returns table (i integer, place integer, at integer, path text, message text, code text)
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_hashjoin = on set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  return query
  with good as materialized (
    select (x.n - 1)::integer as i, x.task
    from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
    where jsonb_typeof(x.task) = 'object'
  ), local as materialized (
    select g.task ->> 'id' as id, min(g.i) as first_i, count(*) as n
    from good g
    where jsonb_typeof(g.task -> 'id') = 'string'
    group by 1
  ), dependency as materialized (
    select g.i, d.n::integer as at, '.dependencies[' || d.n - 1 || ']' as path, d.value, g.task ->> 'id' as child,
      case when jsonb_typeof(d.value -> 'id') = 'string' then d.value ->> 'id' end as parent,
      case when jsonb_typeof(d.value -> 'task_id') = 'string' and taskrunner_private.is_uuid(d.value ->> 'task_id')
        then taskrunner_private.to_uuid(d.value ->> 'task_id') end as task_id
    from good g
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(g.task -> 'dependencies') = 'array' then g.task -> 'dependencies' else '[]' end)
      with ordinality d (value, n)
  )
  select d.i, 21, d.at, d.path || f.path, f.message, 'TR007'
  from dependency d
  cross join lateral taskrunner_private.dependency_errors(d.value) f
  where not coalesce(jsonb_typeof(d.value -> 'requires_success') = 'boolean' and case
    when d.parent is null then d.task_id is not null and not d.value ? 'id'
    else not taskrunner_private.is_blank(d.parent) and not d.value ? 'task_id' end, false)
  union all
  select d.i, 21, d.at, d.path || '.id', 'names no entry of the request: ' || taskrunner_private.quoted(d.parent), 'TR007'
  from dependency d
  left join local l on l.id = d.parent
  where l.id is null and not taskrunner_private.is_blank(d.parent)
  union all
  select d.i, 21, d.at, d.path || '.task_id', 'unknown task ' || d.task_id, 'TR002'
  from dependency d
  where d.task_id is not null and (select t.id from taskrunner.task t where t.id = d.task_id) is null
  union all
  select d.i, 20, 0, '.dependencies', 'a task cannot depend on itself: ' || taskrunner_private.quoted(d.child), 'TR003'
  from dependency d
  where d.parent = d.child
  group by d.i, d.child
  union all
  select d.i, 20, 0, '.dependencies', 'names ' || taskrunner_private.quoted(d.parent) || ' more than once', 'TR007'
  from dependency d
  where d.parent is not null
  group by d.i, d.parent
  having count(*) > 1
  union all
  select d.i, 20, 0, '.dependencies', 'names ' || to_json(d.task_id) || ' more than once', 'TR007'
  from dependency d
  where d.task_id is not null
  group by d.i, d.task_id
  having count(*) > 1
  union all
  select g.i, 1, 0, '.id', 'repeats ' || taskrunner_private.quoted(l.id) || ' of tasks[' || l.first_i || ']', 'TR007'
  from local l
  join good g on g.task ->> 'id' = l.id
  where l.n > 1 and g.i > l.first_i and jsonb_typeof(g.task -> 'id') = 'string'
  limit 10001;
end $$;
