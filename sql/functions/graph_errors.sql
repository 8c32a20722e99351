-- Everything that is wrong with a graph to be created (contract 9.1), cycles aside, entries in order, then the request as
-- a whole: the first 100 faults, and in each row how many there are and their SQLSTATEs. After 10,001 nothing is looked for
-- any more, so that a request in which everything is wrong takes no longer than a good one; these are not the first ones
-- then. The caller has made sure that p_tasks is an array of at most 100,000 elements.
-- p_linked: the local ids and dependencies are known to be good (submit_links).
-- p_known: faults that the caller found, [{"path": "tasks[0].name", "message": "…"}]: of the text, which jsonb cannot show,
-- and what else is wrong at their paths is left out; and, with "webhook": true, of the URL in the params of an action,
-- which stand among the others and are left out if the URL is wrong anyway.
-- Locks: none. Called by: valid_graph.
create or replace function taskrunner_private.graph_errors(
  p_body jsonb, p_tasks jsonb, p_linked boolean, p_known jsonb
)
returns table (detail text, total bigint, codes text[])
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_nestloop = off set enable_hashjoin = on set jit = off as $$
begin
  return query
  with entry as materialized (
    select (x.n - 1)::integer as i, x.task
    from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
    where not coalesce(taskrunner_private.is_plain_entry(x.task), false)
  ), good as not materialized (
    select * from entry where jsonb_typeof(task) = 'object'
  ), checked as materialized (
    select g.i, array[
      taskrunner_private.text_error(g.task -> 'id', 2147483647),
      taskrunner_private.text_error(g.task -> 'name', 255),
      taskrunner_private.text_error(g.task -> 'kind', 100),
      taskrunner_private.integer_error(g.task -> 'timeout', 1, 86400),
      taskrunner_private.integer_error(g.task -> 'expected_count', 0, 9223372036854775807),
      taskrunner_private.integer_error(g.task -> 'priority', -1000, 1000),
      taskrunner_private.metadata_error(g.task -> 'metadata'),
      case when coalesce(jsonb_typeof(g.task -> 'dead_end_barrier'), 'null') not in ('boolean', 'null')
        then 'must be true or false' end,
      taskrunner_private.array_error(g.task -> 'on_failure'),
      taskrunner_private.array_error(g.task -> 'on_success'),
      taskrunner_private.array_error(g.task -> 'on_cancel'),
      taskrunner_private.array_error(g.task -> 'dependencies')] as messages
    from good g
  ), field (i, place, at, path, message, code) as (
    select e.i, 0, 0, '', 'must be an object', 'TR007' from entry e where jsonb_typeof(e.task) <> 'object'
    union all
    select c.i, f.place, 0, f.path, f.message, taskrunner_private.fault_code(f.message)
    from checked c
    cross join lateral unnest(c.messages, array[1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 20], array['.id', '.name', '.kind',
      '.timeout', '.expected_count', '.priority', '.metadata', '.dead_end_barrier', '.on_failure', '.on_success',
      '.on_cancel', '.dependencies']) f (message, place, path)
    where array_remove(c.messages, null) <> '{}' and f.message is not null
  ), action (i, place, at, path, value) as materialized (
    select g.i, 10, 0, '.on_start', nullif(g.task -> 'on_start', 'null') from good g
    union all
    select g.i, x.place, a.n::integer * 10, '.' || x.key || '[' || a.n - 1 || ']', a.value
    from good g
    cross join (values (11, 'on_failure'), (12, 'on_success'), (13, 'on_cancel')) x (place, key)
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(g.task -> x.key) = 'array' then g.task -> x.key else '[]' end) with ordinality a (value, n)
  ), action_fault (i, place, at, path, message, code) as (
    select a.i, a.place, a.at + f.place, a.path || f.path, f.message, taskrunner_private.fault_code(f.message)
    from action a
    cross join lateral taskrunner_private.action_errors(a.value) f
    where not coalesce(taskrunner_private.is_plain_action(a.value), false)
  ), admission as materialized (
    select * from good where task ?| array['rules', 'dedupe_strategy', 'retry', 'run_at']
  ), admission_fault as materialized (
    select a.i, f.*
    from admission a
    cross join lateral taskrunner_private.admission_errors(a.task) f
  ), fault (i, place, at, path, message, code) as materialized (
    select * from field
    union all select * from action_fault
    union all select l.* from taskrunner_private.link_errors(case when p_linked then '[]' else p_tasks end) l
    union all
    select a.i, 5, 0, '.expected_count', 'is required with a Capacity rule', 'TR004'
    from admission a
    where coalesce(a.task -> 'expected_count', 'null') = 'null'
      and jsonb_path_exists(a.task, 'lax $.rules[*] ? (@.type == "Capacity")')
    union all
    select f.i, 30 + f.place, f.at, f.field || f.path, f.message, f.code from admission_fault f
    union all
    select null, b.place, 0, b.path, b.message, taskrunner_private.fault_code(b.message)
    from (values
      (1, 'name', case when p_body -> 'name' <> 'null' then taskrunner_private.text_error(p_body -> 'name', 255) end),
      (2, 'metadata', taskrunner_private.metadata_error(p_body -> 'metadata')),
      (3, 'dead_end_cancel', case
        when coalesce(jsonb_typeof(p_body -> 'dead_end_cancel'), 'null') not in ('boolean', 'null')
          then 'must be true or false' end)
    ) b (place, path, message)
    where b.message is not null and jsonb_typeof(p_body) = 'object'
    limit 10001
  ), known as materialized (
    select substring(k ->> 'path' from '^tasks\[([0-9]+)\]')::integer as i, n::integer, k ->> 'path' as path,
      k ->> 'message' as message, a.place + 9 as place, 10 * coalesce(a.at[2]::integer + 1, 0) + 3 as at
    from jsonb_array_elements(p_known) with ordinality x (k, n)
    cross join lateral (select case when k ? 'webhook' then regexp_match(k ->> 'path',
      '^tasks\[[0-9]+\]\.(on_start|on_failure|on_success|on_cancel)(?:\[([0-9]+)\])?\.params$') end) m (at)
    cross join lateral (select m.at, array_position(array['on_start', 'on_failure', 'on_success', 'on_cancel'], m.at[1])) a (at, place)
  ), told (i, place, at, path, message, code) as materialized (
    select k.i, -1, k.n, k.path, k.message, 'TR007' from known k where k.place is null
    union all
    select k.i, k.place, k.at, k.path, k.message, 'TR007'
    from known k
    where not exists (select from fault f where (f.i, f.place, f.at) = (k.i, k.place, k.at))
      and k.place is not null
    union all
    select f.i, f.place, f.at, coalesce('tasks[' || f.i || ']', '') || f.path, f.message, f.code
    from fault f
    where p_known = '[]' or coalesce('tasks[' || f.i || ']', '') || f.path not in (select k.path from known k where k.place is null)
  )
  select coalesce(nullif(t.path, ''), 'body') || ': ' || t.message, (select count(*) from told),
    (select array_agg(distinct told.code) from told)
  from told t
  order by t.i nulls last, t.place, t.at, t.path collate "C", t.message collate "C"
  limit 100;
end $$;
