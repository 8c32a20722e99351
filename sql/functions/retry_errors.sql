-- All that is wrong with a retry policy (contract 1.6, 9.1), with sub-paths. Null is none and no fault.
-- Locks: none. Called by: graph_errors. Inlined there.
create or replace function taskrunner_private.retry_errors(p_retry jsonb) returns table (path text, message text)
language sql immutable parallel safe as $$
  select '', 'must be an object' where coalesce(jsonb_typeof(p_retry), 'null') not in ('object', 'null')
  union all
  select f.path, f.message
  from unnest(array['.max_attempts', '.initial_delay_secs', '.multiplier', '.max_delay_secs'], array[
    case when coalesce(p_retry -> 'max_attempts', 'null') = 'null' then 'is required'
      else taskrunner_private.integer_error(p_retry -> 'max_attempts', 1, 100) end,
    taskrunner_private.number_error(p_retry -> 'initial_delay_secs', 0, 86400),
    taskrunner_private.number_error(p_retry -> 'multiplier', 1, 100),
    coalesce(taskrunner_private.number_error(p_retry -> 'max_delay_secs', 0, 86400), case
      when taskrunner_private.number_error(p_retry -> 'initial_delay_secs', 0, 86400) is not null then null
      when coalesce(nullif(p_retry -> 'initial_delay_secs', 'null'), '5')::numeric
        > coalesce(nullif(p_retry -> 'max_delay_secs', 'null'), '300')::numeric
        then case
          when coalesce(p_retry -> 'max_delay_secs', 'null') = 'null' then 'is 300 if not given, and must not be below initial_delay_secs'
          when coalesce(p_retry -> 'initial_delay_secs', 'null') = 'null' then 'must not be below initial_delay_secs, which is 5 if not given'
          else 'must not be below initial_delay_secs' end end)
  ]) f (path, message)
  where jsonb_typeof(p_retry) = 'object' and f.message is not null
$$;
