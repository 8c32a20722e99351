-- What is wrong with an optional integer of a request, or null. Inlined wherever it is used.
create or replace function taskrunner_private.integer_error(p_value jsonb, p_min bigint, p_max bigint) returns text
language sql immutable parallel safe
return case
  when p_value is null or p_value = 'null' then null
  when jsonb_typeof(p_value) <> 'number' or p_value::text ~ '[.]' then 'must be an integer'
  when p_max = 9223372036854775807 and p_value::numeric < p_min then 'must be at least ' || p_min::text
  when p_value::numeric not between p_min and p_max then 'must be between ' || p_min::text || ' and ' || p_max::text
end;
