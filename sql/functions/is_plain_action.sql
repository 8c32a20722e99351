-- Is this an action of a request of which one sees quickly that nothing is wrong? Without headers, and too short to hold
-- what json_unfit looks for. Null counts as no. Inlined.
create or replace function taskrunner_private.is_plain_action(p_action jsonb) returns boolean
language sql immutable parallel safe
return p_action -> 'kind' = '"Webhook"'
  and jsonb_typeof(p_action -> 'params' -> 'url') = 'string'
  and p_action -> 'params' ->> 'url' ~* '^https?://[^/?#[:space:]]+[^[:space:]]*$'
  and p_action -> 'params' -> 'verb' in ('"Get"', '"Post"', '"Delete"', '"Put"', '"Patch"')
  and not p_action -> 'params' ? 'headers'
  and octet_length((p_action -> 'params')::text) <= 1000;
