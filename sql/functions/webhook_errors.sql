-- All that is wrong with the params of a webhook (contract 1.6, 8.1, 9.1). The address behind the host is not looked at
-- here: that happens when the call is made. No value is repeated in a message, it may be a secret.
-- Locks: none. Called by: graph_errors, webhook_error. Inlined there.
create or replace function taskrunner_private.webhook_errors(p_params jsonb) returns table (place integer, message text)
language sql immutable parallel safe as $$
  select 1, case when coalesce(p_params, 'null') = 'null' then 'is required' else 'must be an object' end
  where coalesce(jsonb_typeof(p_params), 'null') <> 'object'
  union all
  select f.place::integer + 1, f.message
  from unnest(array[
    case
      when coalesce(p_params -> 'url', 'null') = 'null' then 'url is required'
      when jsonb_typeof(p_params -> 'url') <> 'string' then 'url must be a string'
      when octet_length(p_params ->> 'url') > 8192 then 'url must be at most 8192 bytes'
      when octet_length(substring(p_params ->> 'url' from '^[^/?#]*//(?:[^/?#]*@)?([^/?#]*)')) > 255
        then 'the host of url must be at most 255 bytes'     -- queues are indexed by it
      when not taskrunner_private.is_web_url(p_params ->> 'url') then 'url must be an absolute http or https URL' end,
    case
      when coalesce(p_params -> 'verb', 'null') = 'null' then 'verb is required'
      when p_params -> 'verb' not in ('"Get"', '"Post"', '"Delete"', '"Put"', '"Patch"')
        then 'verb must be one of Get, Post, Delete, Put, Patch' end,
    case
      when coalesce(jsonb_typeof(p_params -> 'headers'), 'null') not in ('object', 'null')
        then 'headers must be an object of strings'
      when octet_length((p_params -> 'headers')::text) > 65536 then 'headers must be at most 65536 bytes' end,
    case when octet_length(p_params::text) > 1048576 then 'must be at most 1048576 bytes' -- many are called at the same time
      else taskrunner_private.json_unfit(p_params, p_params::text) end
  ]) with ordinality f (message, place)
  where jsonb_typeof(p_params) = 'object' and f.message is not null
  union all
  select 4, 'headers: ' || taskrunner_private.quoted(h.key) || ' ' || fault.message
  from jsonb_each(case when jsonb_typeof(p_params -> 'headers') = 'object' then p_params -> 'headers' else '{}' end) h
  cross join lateral (select case
    when octet_length(h.key) > 256 or octet_length(h.value #>> '{}') > 8192 then 'is too long'
    when h.key !~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' then 'is not a legal header name'
    when lower(h.key collate "C") in ('idempotency-key', 'x-task-id', 'x-task-trigger', 'x-task-attempt', 'x-batch-id',
      'user-agent', 'webhook-id', 'webhook-timestamp', 'webhook-signature', 'host', 'content-length',
      'transfer-encoding', 'connection') then 'is set by Task Runner'
    when jsonb_typeof(h.value) <> 'string' then 'must be a string'
    when h.value #>> '{}' ~ '[\x01-\x08\x0a-\x1f\x7f]' then 'has a control character' end) fault (message)
  where fault.message is not null
$$;
