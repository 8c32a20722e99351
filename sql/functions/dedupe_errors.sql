-- All that is wrong with the shape of a dedupe strategy (contract 7.5, 9.1), in order. path begins behind what the
-- caller calls the array. Null is no strategy and no fault.
-- Locks: none. Called by: graph_errors. Inlined there.
create or replace function taskrunner_private.dedupe_errors(p_strategy jsonb)
returns table (path text, message text)
language sql immutable parallel safe as $$
  select '', 'must be an array'
  where coalesce(jsonb_typeof(p_strategy), 'null') not in ('array', 'null')
  union all
  (select '[' || x.n - 1 || ']' || m.path, m.message
  from jsonb_array_elements(case when jsonb_typeof(p_strategy) = 'array' then p_strategy else '[]' end)
    with ordinality as x (matcher, n)
  cross join lateral taskrunner_private.matcher_errors(matcher, false, null) m
  order by x.n, m.place)
$$;
