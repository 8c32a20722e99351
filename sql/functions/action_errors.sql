-- All that is wrong with one action of a request, with sub-paths.
-- Locks: none. Called by: graph_errors. Inlined there.
create or replace function taskrunner_private.action_errors(p_action jsonb)
returns table (place integer, path text, message text)
language sql immutable parallel safe as $$
  select 0, '', case when p_action is null then 'is required' else 'must be an object' end
  where coalesce(jsonb_typeof(p_action), 'null') <> 'object'
  union all
  select 1, '.kind', case when coalesce(p_action -> 'kind', 'null') = 'null' then 'is required' else 'must be Webhook' end
  where jsonb_typeof(p_action) = 'object' and p_action -> 'kind' is distinct from '"Webhook"'
  union all
  select 1 + w.place, '.params', w.message
  from taskrunner_private.webhook_errors(p_action -> 'params') w
  where jsonb_typeof(p_action) = 'object'
$$;
