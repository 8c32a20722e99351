-- What is wrong with the params of a webhook (contract 1.6, 8.1), or null. The address behind the host is not looked
-- at here: that happens when the call is made.
-- Locks: none. Called by: submit_errors, triggers/action_100_guard_insert.sql.
create or replace function taskrunner_private.webhook_error(p_params jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_error text;
begin
  v_error := case
    when p_params is null or p_params = 'null' then 'is required'
    when jsonb_typeof(p_params) <> 'object' then 'must be an object'
    when coalesce(jsonb_typeof(p_params -> 'url'), 'null') = 'null' then 'url is required'
    when jsonb_typeof(p_params -> 'url') <> 'string' then 'url must be a string'
    when octet_length(p_params ->> 'url') > 8192 then 'url must be at most 8192 bytes'
    when p_params ->> 'url' !~* '^https?://[^/?#[:space:]]+[^[:space:]]*$' then 'url must be an absolute http or https URL'
    when coalesce(jsonb_typeof(p_params -> 'verb'), 'null') = 'null' then 'verb is required'
    when jsonb_typeof(p_params -> 'verb') <> 'string'
      or p_params ->> 'verb' not in ('Get', 'Post', 'Delete', 'Put', 'Patch')
      then 'verb must be one of Get, Post, Delete, Put, Patch'
    when jsonb_path_exists(p_params, '$.**{1001}') then 'must not be nested deeper than 1000'
    when coalesce(jsonb_typeof(p_params -> 'headers'), 'null') not in ('object', 'null')
      then 'headers must be an object of strings' end;
  if v_error is not null or coalesce(jsonb_typeof(p_params -> 'headers'), 'null') = 'null' then
    return v_error;
  end if;
  return (
    select 'headers: ' || to_json(left(h.key, 256)) || ' ' || fault.message
    from jsonb_each(p_params -> 'headers') h
    cross join lateral (select case
      when octet_length(h.key) > 256 or octet_length(h.value #>> '{}') > 8192 then 'is too long'
      when h.key !~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' then 'is not a legal header name'
      when lower(h.key) in ('idempotency-key', 'x-task-id', 'x-task-trigger', 'x-task-attempt', 'x-batch-id',
        'user-agent', 'webhook-id', 'webhook-timestamp', 'webhook-signature', 'host', 'content-length',
        'transfer-encoding', 'connection') then 'is set by Task Runner'
      when jsonb_typeof(h.value) <> 'string' then 'must be a string'
      when h.value #>> '{}' ~ '[\x01-\x08\x0a-\x1f\x7f]' then 'has a control character' end) fault (message)
    where fault.message is not null
    order by h.key
    limit 1);
end $$;
