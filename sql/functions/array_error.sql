-- What is wrong with an optional array of a request, its elements aside, or null. Inlined wherever it is used.
create or replace function taskrunner_private.array_error(p_value jsonb) returns text
language sql immutable parallel safe
return case when coalesce(jsonb_typeof(p_value), 'null') not in ('array', 'null') then 'must be an array' end;
