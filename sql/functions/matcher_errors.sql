-- All that is wrong with a matcher of a rule (contract 9.1) or of a dedupe strategy (its shape alone), with sub-paths.
-- p_metadata: what the fields of a rule must be top-level keys of; SQL null: that is not looked at.
-- Locks: none. Called by: rules_errors, dedupe_errors. Inlined there.
create or replace function taskrunner_private.matcher_errors(p_matcher jsonb, p_of_rule boolean, p_metadata jsonb)
returns table (place integer, path text, message text)
language sql immutable parallel safe as $$
  select 1, '', case when coalesce(p_matcher, 'null') = 'null' then 'is required' else 'must be an object' end
  where coalesce(jsonb_typeof(p_matcher), 'null') <> 'object'
  union all
  select f.place::integer + 1, f.path, f.message
  from unnest(array['.kind', '.status', '.fields'], array[
    case
      when p_of_rule then taskrunner_private.text_error(p_matcher -> 'kind', 2147483647)
      when coalesce(p_matcher -> 'kind', 'null') = 'null' then 'is required'
      when jsonb_typeof(p_matcher -> 'kind') <> 'string' then 'must be a string' end,
    case
      when coalesce(p_matcher -> 'status', 'null') = 'null' then 'is required'
      when p_of_rule and p_matcher -> 'status' <> '"Running"' then 'must be Running'
      when jsonb_typeof(p_matcher -> 'status') <> 'string' or p_matcher ->> 'status' not in
        ('Waiting', 'Pending', 'Claimed', 'Running', 'Failure', 'Success', 'Paused', 'Canceled')
        then 'must be one of Waiting, Pending, Claimed, Running, Failure, Success, Paused, Canceled' end,
    case
      when coalesce(p_matcher -> 'fields', 'null') = 'null' then 'is required'
      when jsonb_typeof(p_matcher -> 'fields') <> 'array'
        or jsonb_path_exists(p_matcher -> 'fields', 'strict $[*] ? (@.type() != "string")')
        then 'must be an array of strings' end
  ]) with ordinality f (path, message, place)
  where jsonb_typeof(p_matcher) = 'object' and f.message is not null
  union all
  select distinct 4, '.fields', taskrunner_private.quoted(e.name) || ' is not a top-level key of the task''s metadata'
  from jsonb_array_elements(
    case when jsonb_typeof(p_matcher -> 'fields') = 'array' and p_metadata is not null then p_matcher -> 'fields' else '[]' end) x
  cross join lateral (select x #>> '{}' as name) e
  where p_of_rule and jsonb_typeof(x) = 'string'
    and not case when jsonb_typeof(p_metadata) = 'object' then p_metadata ? e.name else false end
$$;
