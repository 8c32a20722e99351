-- Writes the actions of a request in the order of the contract's section 1.4: on_start, on_failure, on_success,
-- on_cancel. Locks: none waited for. Called by: submit under cause submit. Writes action.
create or replace function taskrunner_private.insert_actions(p_tasks jsonb, p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into taskrunner.action (task_id, trigger, condition, position, params)
  select p_ids[x.n], a.trigger, a.condition, a.position, a.params
  from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
  cross join lateral (
    select 0 as place, 'Start'::taskrunner.trigger_kind, 'Success'::taskrunner.trigger_condition, 0,
      task -> 'on_start' -> 'params'
    union all
    select 1, 'End', 'Failure', f.n::integer - 1, f.value -> 'params'
    from jsonb_array_elements(
      case when jsonb_typeof(task -> 'on_failure') = 'array' then task -> 'on_failure' else '[]' end)
      with ordinality f (value, n)
    union all
    select 2, 'End', 'Success', s.n::integer - 1, s.value -> 'params'
    from jsonb_array_elements(
      case when jsonb_typeof(task -> 'on_success') = 'array' then task -> 'on_success' else '[]' end)
      with ordinality s (value, n)
    union all
    select 3, 'Cancel', 'Success', c.n::integer - 1, c.value -> 'params'
    from jsonb_array_elements(
      case when jsonb_typeof(task -> 'on_cancel') = 'array' then task -> 'on_cancel' else '[]' end)
      with ordinality c (value, n)
  ) a (place, trigger, condition, position, params)
  order by x.n, a.place, a.position;
end $$;
