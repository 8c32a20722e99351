-- What tasks need to start: a row per rule. limit_id is null as long as the shape is not counted (shape_id null), and for
-- metadata that lacks a field. unsized: a Capacity rule on a task without expected_count.
-- Inlined wherever it is used, and planned with it: it must not have settings of its own, and takes its callers'.
-- Locks: none. Called by: admit, admit_by_sql, count_shapes_now, open_gates, blocked_by, rules_in_the_way, request_shapes.
create or replace function taskrunner_private.rule_needs(p_ids uuid[])
returns table (task_id uuid, n bigint, rule jsonb, shape_id integer, kind text, fields text[], limit_id bigint, is_capacity boolean,
  maximum bigint, unsized boolean)
language sql stable as $$
  select t.id, r.n, r.rule, s.id, m.kind, m.fields, taskrunner_private.limit_id(s.id, m.fields, t.metadata), m.is_capacity,
    m.maximum, m.is_capacity and t.expected_count is null
  from unnest(p_ids) as given (id)
  cross join lateral (
    select x.id, x.rules, x.metadata, x.expected_count from taskrunner.task x where x.id = given.id and x.rules <> '[]' offset 0) t
  cross join lateral jsonb_array_elements(t.rules) with ordinality r (rule, n)
  cross join lateral (
    select r.rule -> 'matcher' ->> 'kind' as kind, taskrunner_private.matcher_fields(r.rule -> 'matcher') as fields,
      r.rule ->> 'type' = 'Capacity' as is_capacity,
      coalesce(r.rule -> 'max_capacity', r.rule -> 'max_concurency')::bigint as maximum
    offset 0) m
  left join lateral (
    select x.id from taskrunner_private.limit_shape x where x.kind = m.kind and x.fields = m.fields offset 0) s on true;
$$;
