-- Writes the actions of a request beside on_start (insert_entries), each task's in the order of the contract's section
-- 1.4: on_failure, on_success, on_cancel. Locks: none waited for. Called by: submit under cause submit. Writes action.
create or replace function taskrunner_private.insert_actions(p_tasks jsonb, p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into taskrunner.action (task_id, trigger, condition, position, params)
  select p_ids[e.n], p.trigger, p.condition, a.n - 1, a.action -> 'params'
  from jsonb_array_elements(p_tasks) with ordinality e (task, n)
  cross join (values
    (1, 'End'::taskrunner.trigger_kind, 'Failure'::taskrunner.trigger_condition, 'on_failure'),
    (2, 'End', 'Success', 'on_success'), (3, 'Cancel', 'Success', 'on_cancel')) p (place, trigger, condition, key)
  cross join lateral jsonb_array_elements(
    case when jsonb_typeof(e.task -> p.key) = 'array' then e.task -> p.key else '[]' end) with ordinality a (action, n)
  where e.task ?| array['on_failure', 'on_success', 'on_cancel']
  order by e.n, p.place, a.n;
end $$;
