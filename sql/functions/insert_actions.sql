-- Writes the actions of a request in the order of the contract's section 1.4: on_start, on_failure, on_success,
-- on_cancel. Locks: none waited for. Called by: submit under cause submit. Writes action.
create or replace function taskrunner_private.insert_actions(p_tasks jsonb, p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into taskrunner.action (task_id, trigger, condition, position, params)
  with entry as not materialized (
    select x.n, x.task from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
  ), listed (n, place, trigger, condition, actions) as (
    select e.n, p.place, p.trigger, p.condition, e.task -> p.key
    from entry e
    cross join (values
      (1, 'End'::taskrunner.trigger_kind, 'Failure'::taskrunner.trigger_condition, 'on_failure'),
      (2, 'End', 'Success', 'on_success'), (3, 'Cancel', 'Success', 'on_cancel')) p (place, trigger, condition, key)
    where e.task ?| array['on_failure', 'on_success', 'on_cancel'] and jsonb_typeof(e.task -> p.key) = 'array'
  )
  select p_ids[a.n], a.trigger, a.condition, a.position, a.params
  from (
    select e.n, 0 as place, 'Start'::taskrunner.trigger_kind as trigger, 'Success'::taskrunner.trigger_condition as condition,
      0 as position, e.task -> 'on_start' -> 'params' as params
    from entry e
    union all
    select l.n, l.place, l.trigger, l.condition, x.n::integer - 1, x.action -> 'params'
    from listed l
    cross join lateral jsonb_array_elements(l.actions) with ordinality x (action, n)
  ) a
  order by a.n, a.place, a.position;
end $$;
