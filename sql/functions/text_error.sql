-- What is wrong with a required text of a request, or null. Inlined wherever it is used.
create or replace function taskrunner_private.text_error(p_value jsonb, p_max integer) returns text
language sql immutable parallel safe as $$
  select case
    when p_value is null or p_value = 'null' then 'is required'
    when jsonb_typeof(p_value) <> 'string' then 'must be a string'
    when taskrunner_private.is_blank(p_value #>> '{}') then 'must not be blank'
    when char_length(p_value #>> '{}') > p_max then 'must be at most ' || p_max::text || ' characters'
  end;
$$;
