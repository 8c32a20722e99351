-- Size of a JSON value in its compact form with numbers written out, as PostgreSQL prints them, in bytes; the blanks
-- that PostgreSQL puts behind colons and commas do not count. They are counted out only where that can matter to the limit
-- of 65,536: they are fewer than the other bytes, so above twice the limit the answer is known.
create or replace function taskrunner_private.json_bytes(p_value jsonb) returns integer
language sql immutable parallel safe
return case when octet_length(p_value::text) not between 65537 and 131072 then octet_length(p_value::text)
  else octet_length(regexp_replace(p_value::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g')) end;
