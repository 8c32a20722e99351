-- What is wrong with the shape of one dependency, as '<sub-path>: <message>', or null. Inlined wherever it is used.
create or replace function taskrunner_private.dependency_error(p_value jsonb) returns text
language sql immutable parallel safe as $$
  select case
    when jsonb_typeof(p_value) <> 'object' then ': must be an object'
    when coalesce(p_value -> 'id', 'null') = 'null' and coalesce(p_value -> 'task_id', 'null') = 'null'
      then ': one of id and task_id is required'
    when coalesce(p_value -> 'id', 'null') <> 'null' and coalesce(p_value -> 'task_id', 'null') <> 'null'
      then ': only one of id and task_id is allowed'
    when coalesce(p_value -> 'id', 'null') <> 'null' and jsonb_typeof(p_value -> 'id') <> 'string' then '.id: must be a string'
    when jsonb_typeof(p_value -> 'id') = 'string' and taskrunner_private.is_blank(p_value ->> 'id') then '.id: must not be blank'
    when coalesce(p_value -> 'task_id', 'null') <> 'null' and (jsonb_typeof(p_value -> 'task_id') <> 'string'
      or p_value ->> 'task_id' !~* '^(urn:uuid:)?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$|^\{[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\}$')
      then '.task_id: must be a UUID'
    when coalesce(p_value -> 'requires_success', 'null') = 'null' then '.requires_success: is required'
    when jsonb_typeof(p_value -> 'requires_success') <> 'boolean' then '.requires_success: must be true or false'
  end;
$$;
