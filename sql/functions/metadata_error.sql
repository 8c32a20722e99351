-- What is wrong with the optional metadata of a request, or null. Inlined wherever it is used.
create or replace function taskrunner_private.metadata_error(p_value jsonb) returns text
language sql immutable parallel safe as $$
  select case
    when taskrunner_private.json_bytes(p_value) > 65536 then 'must be at most 65536 bytes'
    else taskrunner_private.json_unfit(p_value, p_value::text) end;
$$;
