-- All that is wrong with an array of rules (contract 1.6, 9.1), in order. path begins behind what the caller calls the
-- array: '[0].matcher.kind', or '' for the array itself. Null is no array and no fault.
-- p_metadata: the metadata of the task that gets the rules, which must have the fields they name; SQL null: that is not
-- looked at. Whether a Capacity rule needs expected_count is the caller's.
-- Locks: none. SQLSTATE of such faults: TR004.
create or replace function taskrunner_private.rules_errors(p_rules jsonb, p_metadata jsonb)
returns table (path text, message text)
language sql immutable parallel safe as $$
  select '', 'must be an array'
  where coalesce(jsonb_typeof(p_rules), 'null') not in ('array', 'null')
  union all
  (select '[' || r.n - 1 || ']' || f.path, f.message
  from jsonb_array_elements(case when jsonb_typeof(p_rules) = 'array' then p_rules else '[]' end)
    with ordinality as r (rule, n)
  cross join lateral (
    select v.place, v.path, v.message
    from unnest(array['', '.type', '.max_concurency', '.max_capacity'], array[
      case when jsonb_typeof(rule) <> 'object' then 'must be an object' end,
      case
        when jsonb_typeof(rule) <> 'object' then null
        when coalesce(rule -> 'type', 'null') = 'null' then 'is required'
        when rule -> 'type' not in ('"Concurency"', '"Concurrency"', '"Capacity"')
          then 'must be one of Concurency, Concurrency, Capacity' end,
      case
        when coalesce(rule -> 'type', 'null') not in ('"Concurency"', '"Concurrency"') then null
        when rule -> 'max_concurency' <> 'null' and rule -> 'max_concurrency' <> 'null'
          then 'only one of max_concurency and max_concurrency is allowed'
        when coalesce(nullif(rule -> 'max_concurency', 'null'), nullif(rule -> 'max_concurrency', 'null')) is null
          then 'is required'
        else taskrunner_private.integer_error(
          coalesce(nullif(rule -> 'max_concurency', 'null'), rule -> 'max_concurrency'), 1, 2147483647) end,
      case
        when coalesce(rule -> 'type', 'null') <> '"Capacity"' then null
        when coalesce(rule -> 'max_capacity', 'null') = 'null' then 'is required'
        else taskrunner_private.integer_error(rule -> 'max_capacity', 1, 9223372036854775807) end
    ]) with ordinality v (path, message, place)
    where v.message is not null
    union all
    select 5 + m.place, '.matcher' || m.path, m.message
    from taskrunner_private.matcher_errors(rule -> 'matcher', true, p_metadata) m
    where jsonb_typeof(rule) = 'object'
  ) f
  order by r.n, f.place, f.message collate "C")
$$;
