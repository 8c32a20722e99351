-- The faults that an error lists: the first 100 of p_faults, and how many there are beyond these of p_total. Whoever counts
-- may stop above 10,000.
create or replace function taskrunner_private.first_faults(p_faults text[], p_total bigint) returns text[]
language sql immutable parallel safe
return p_faults[1 : 100] || case
  when p_total > 10000 then array['and more than 9900 more']
  when p_total > 100 then array[format('and %s more', p_total - 100)]
  else '{}' end;
