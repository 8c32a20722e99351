-- Size of a JSON value in its compact form with numbers written out, as PostgreSQL prints them, in bytes; the blanks
-- that PostgreSQL puts behind colons and commas do not count.
create or replace function taskrunner_private.json_bytes(p_value jsonb) returns integer
language sql immutable parallel safe
return case when octet_length(p_value::text) <= 65536 then octet_length(p_value::text)
  else octet_length(regexp_replace(p_value::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g')) end;
