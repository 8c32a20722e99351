-- The id of a limit of any number of fields with any values: see limit_id, its only caller.
-- The hash of jsonb sees scalars in their order, but not how arrays and objects nest, so 1 and [[1]] would share a limit: what such a
-- value looks like with 0 for each scalar is hashed as well. Not for shapes from before that, whose limits are in use.
create or replace function taskrunner_private.hash_limit(p_shape integer, p_fields text[], p_metadata jsonb) returns bigint
language sql immutable parallel safe
return case when jsonb_typeof(p_metadata) = 'object' and p_metadata ?& p_fields
  then (
    select jsonb_hash_extended(
      jsonb_build_array(p_shape) || jsonb_agg(v.value order by v.n) || coalesce(to_jsonb(string_agg(
        v.n || regexp_replace(v.value::text, '"(?:[^"\\]|\\.)*"|[^][{},:"]+', '0', 'g'), ' ' order by v.n)
        filter (where jsonb_typeof(v.value) in ('array', 'object') and p_shape >= 1073741824)), '[]'), 8312345678901234567)
    from (select p_metadata -> f.name as value, f.n from unnest(p_fields) with ordinality f (name, n)) v) end;
