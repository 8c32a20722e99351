-- Whether rules are valid and in the spelling in which they are stored, seen at a glance: one Concurency rule with one or two fields.
-- Others may be valid too (rules_errors). Inlined where it is used.
-- Called by: task_150_rules_insert, task_150_rules_update.
create or replace function taskrunner_private.are_plain_rules(p_rules jsonb, p_metadata jsonb) returns boolean
language sql immutable parallel safe
return coalesce(jsonb_typeof(p_metadata) = 'object'
  and p_rules #>> '{0,max_concurency}' ~ '^[1-9][0-9]{0,8}$' and p_rules #>> '{0,matcher,kind}' ~ '^[!-~]+$'
  and jsonb_array_length(case when jsonb_typeof(p_rules #> '{0,matcher,fields}') = 'array' then p_rules #> '{0,matcher,fields}' end) <= 2
  and p_metadata ? (p_rules #>> '{0,matcher,fields,0}')
  and (p_rules #> '{0,matcher,fields,1}' is null or p_metadata ? (p_rules #>> '{0,matcher,fields,1}'))
  and p_rules = jsonb_build_array(jsonb_build_object('type', 'Concurency', 'max_concurency', (p_rules #>> '{0,max_concurency}')::integer,
    'matcher', jsonb_build_object('status', 'Running', 'kind', p_rules #>> '{0,matcher,kind}',
      'fields', case when p_rules #> '{0,matcher,fields,1}' is null then jsonb_build_array(p_rules #>> '{0,matcher,fields,0}')
        else jsonb_build_array(p_rules #>> '{0,matcher,fields,0}', p_rules #>> '{0,matcher,fields,1}') end))), false);
