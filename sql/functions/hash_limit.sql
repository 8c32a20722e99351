-- The id of a limit of any number of fields: see limit_id, its only caller.
create or replace function taskrunner_private.hash_limit(p_shape integer, p_fields text[], p_metadata jsonb) returns bigint
language sql immutable parallel safe
return case when jsonb_typeof(p_metadata) = 'object' and p_metadata ?& p_fields
  then jsonb_hash_extended(jsonb_build_array(p_shape) || (
    select jsonb_agg(p_metadata -> f.name order by f.n) from unnest(p_fields) with ordinality f (name, n)), 8312345678901234567) end;
