-- What is wrong with an optional number of a request, or null. Inlined wherever it is used.
create or replace function taskrunner_private.number_error(p_value jsonb, p_min numeric, p_max numeric) returns text
language sql immutable parallel safe
return case
  when p_value is null or p_value = 'null' then null
  when jsonb_typeof(p_value) <> 'number' then 'must be a number'
  when p_value::numeric not between p_min and p_max then 'must be between ' || p_min::text || ' and ' || p_max::text
end;
