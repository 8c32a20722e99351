-- Valid rules as they are stored and shown: one spelling, nothing that is not part of a rule.
-- Called by: task_150_rules_insert, task_150_rules_update, insert_entries, change_batch_rules.
create or replace function taskrunner_private.normal_rules(p_rules jsonb) returns jsonb
language sql immutable parallel safe
return (
  select coalesce(jsonb_agg(case when r.rule ->> 'type' = 'Capacity'
      then jsonb_build_object('type', 'Capacity', 'max_capacity', r.rule -> 'max_capacity')
      else jsonb_build_object('type', 'Concurency',
        'max_concurency', coalesce(nullif(r.rule -> 'max_concurency', 'null'), r.rule -> 'max_concurrency')) end
    || jsonb_build_object('matcher', jsonb_build_object('status', 'Running', 'kind', r.rule -> 'matcher' -> 'kind',
      'fields', r.rule -> 'matcher' -> 'fields')) order by r.n), '[]')
  from jsonb_array_elements(case when jsonb_typeof(p_rules) = 'array' then p_rules else '[]' end) with ordinality r (rule, n));
