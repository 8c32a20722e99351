-- The SQLSTATE of a fault that webhook_error found: TR006 for sizes, TR007 for all else. Inlined.
create or replace function taskrunner_private.webhook_error_code(p_error text) returns text
language sql immutable parallel safe
return case when p_error like '% is too long' or p_error like '%must be at most % bytes'
  or p_error like 'must not be nested %' then 'TR006' else 'TR007' end;
