-- The id of a limit: a hash of its shape and of the values that metadata has for the shape's fields; null if it lacks one. Equal
-- by the rules of jsonb: 1 and 1.0 are one limit, 1 and "1" are two. Two limits with one id would count as one, so nothing is
-- ever exceeded by it. The seed must not be 0: [s, true, false] and [s, null, true] are equal under it.
-- Shapes below 1073741824 are from before nesting was looked at (hash_limit), and their limits are in use.
-- Inlined wherever it is used, but for more than two fields and values that nest; called stable because jsonb_build_array is.
create or replace function taskrunner_private.limit_id(p_shape integer, p_fields text[], p_metadata jsonb) returns bigint
language sql stable parallel safe
return case
  when p_fields = '{}' then jsonb_hash_extended(jsonb_build_array(p_shape), 8312345678901234567)
  when p_fields[3] is not null or p_shape >= 1073741824 and (
      jsonb_typeof(p_metadata -> p_fields[1]) in ('array', 'object') or jsonb_typeof(p_metadata -> p_fields[2]) in ('array', 'object'))
    then taskrunner_private.hash_limit(p_shape, p_fields, p_metadata)
  when jsonb_typeof(p_metadata) = 'object' and p_metadata ?& p_fields then
    case when p_fields[2] is null
      then jsonb_hash_extended(jsonb_build_array(p_shape, p_metadata -> p_fields[1]), 8312345678901234567)
      else jsonb_hash_extended(jsonb_build_array(p_shape, p_metadata -> p_fields[1], p_metadata -> p_fields[2]), 8312345678901234567) end
end;
