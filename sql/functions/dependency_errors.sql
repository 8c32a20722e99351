-- All that is wrong with the shape of one dependency of a request, with sub-paths.
-- Locks: none. Called by: graph_errors. Inlined there.
create or replace function taskrunner_private.dependency_errors(p_value jsonb) returns table (path text, message text)
language sql immutable parallel safe as $$
  select '', 'must be an object' where jsonb_typeof(p_value) <> 'object'
  union all
  select f.path, f.message
  from unnest(array['', '', '.id', '.task_id', '.requires_success'], array[
    case
      when coalesce(p_value -> 'id', 'null') = 'null' and coalesce(p_value -> 'task_id', 'null') = 'null'
        then 'one of id and task_id is required'
      when p_value -> 'id' <> 'null' and p_value -> 'task_id' <> 'null' then 'only one of id and task_id is allowed' end,
    case when coalesce(p_value -> 'requires_success', 'null') = 'null' then 'requires_success is required' end,
    case when p_value -> 'id' <> 'null' then taskrunner_private.text_error(p_value -> 'id', 2147483647) end,
    case when p_value -> 'task_id' <> 'null'
      and (jsonb_typeof(p_value -> 'task_id') <> 'string' or not taskrunner_private.is_uuid(p_value ->> 'task_id'))
      then 'must be a UUID' end,
    case when coalesce(jsonb_typeof(p_value -> 'requires_success'), 'null') not in ('boolean', 'null')
      then 'must be true or false' end
  ]) f (path, message)
  where jsonb_typeof(p_value) = 'object' and f.message is not null
$$;
