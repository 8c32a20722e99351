-- Is this an entry of a request of which one sees quickly that nothing is wrong, its dependencies aside? It has a start action
-- and no others, nothing about admission, and short texts. Null counts as no. Inlined.
create or replace function taskrunner_private.is_plain_entry(p_task jsonb) returns boolean
language sql immutable parallel safe
return jsonb_typeof(p_task) = 'object'
  and not p_task ?| array['rules', 'dedupe_strategy', 'retry', 'run_at', 'dead_end_barrier', 'on_failure', 'on_success', 'on_cancel']
  and jsonb_typeof(p_task -> 'id') = 'string' and (ascii(p_task ->> 'id') between 33 and 126 or p_task ->> 'id' ~ '[!-~]')
  and jsonb_typeof(p_task -> 'name') = 'string' and (ascii(p_task ->> 'name') between 33 and 126 or p_task ->> 'name' ~ '[!-~]')
  and octet_length(p_task ->> 'name') <= 255
  and jsonb_typeof(p_task -> 'kind') = 'string' and (ascii(p_task ->> 'kind') between 33 and 126 or p_task ->> 'kind' ~ '[!-~]')
  and octet_length(p_task ->> 'kind') <= 100
  and taskrunner_private.integer_error(p_task -> 'timeout', 1, 86400) is null
  and taskrunner_private.integer_error(p_task -> 'priority', -1000, 1000) is null
  and taskrunner_private.integer_error(p_task -> 'expected_count', 0, 9223372036854775807) is null
  and coalesce(octet_length((p_task -> 'metadata')::text), 0) <= 1000
  and coalesce(jsonb_typeof(p_task -> 'dependencies'), 'null') in ('array', 'null')
  and taskrunner_private.is_plain_action(p_task -> 'on_start');
