-- The SQLSTATE of a fault by its message: TR006 for limits and sizes, TR007 for all else. Inlined.
create or replace function taskrunner_private.fault_code(p_message text) returns text
language sql immutable parallel safe
return case when p_message ~ 'must be (between|at most|at least) |must not be nested |must not have more than | is too long$'
  then 'TR006' else 'TR007' end;
