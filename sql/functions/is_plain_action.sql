-- Is this an action of a request of which one sees quickly that nothing is wrong? Its URL has a plain host, there are no
-- headers, and it is too short to hold what json_unfit looks for. Null counts as no. Inlined.
create or replace function taskrunner_private.is_plain_action(p_action jsonb) returns boolean
language sql immutable parallel safe
return p_action -> 'kind' = '"Webhook"'
  and jsonb_typeof(p_action -> 'params' -> 'url') = 'string'
  and p_action -> 'params' ->> 'url' ~* '^https?://[a-z0-9._-]+(:[1-5]?[0-9]{1,4})?([/?#][^[:space:]\x01-\x20\x7f]*)?$'
  and octet_length(split_part(p_action -> 'params' ->> 'url', '/', 3)) <= 255
  and p_action -> 'params' -> 'verb' in ('"Get"', '"Post"', '"Delete"', '"Put"', '"Patch"')
  and not p_action -> 'params' ? 'headers'
  and octet_length((p_action -> 'params')::text) <= 1000;
