-- All that is wrong with those fields of a new task that only admission reads: rules, dedupe_strategy, retry, run_at.
-- Locks: none. Called by: graph_errors. Inlined there.
create or replace function taskrunner_private.admission_errors(p_task jsonb)
returns table (place integer, field text, at bigint, path text, message text, code text)
language sql immutable parallel safe as $$
  select 1, '.rules', row_number() over (), f.path, f.message, 'TR004'
  from (select coalesce(p_task -> 'metadata', 'null') as metadata offset 0) m  -- taken out once, not for each field
  cross join lateral taskrunner_private.rules_errors(p_task -> 'rules', m.metadata) f
  union all
  select 2, '.dedupe_strategy', row_number() over (), f.path, f.message, taskrunner_private.fault_code(f.message)
  from taskrunner_private.dedupe_errors(p_task -> 'dedupe_strategy') f
  union all
  select 3, '.retry', row_number() over (), f.path, f.message, taskrunner_private.fault_code(f.message)
  from taskrunner_private.retry_errors(p_task -> 'retry') f
  union all
  select 4, '.run_at', 0, '', 'must be an RFC 3339 timestamp', 'TR007'
  where p_task -> 'run_at' <> 'null'
    and (jsonb_typeof(p_task -> 'run_at') <> 'string' or taskrunner_private.to_moment(p_task ->> 'run_at') is null)
$$;
