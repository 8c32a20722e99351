-- Writes the tasks of a request in array order, with the counters and the state that their links among each other give
-- them. p_children, p_required: of each link, the child's position from 1 and whether it needs success.
-- Locks: none waited for. Called by: submit under cause submit. Writes task.
create or replace function taskrunner_private.insert_entries(
  p_batch_id uuid, p_tasks jsonb, p_ids uuid[], p_ranks bigint[], p_children integer[], p_required boolean[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_hashjoin = on set jit = off as $$
begin
  insert into taskrunner.task (id, rank, batch_id, name, kind, timeout, metadata, expected_count, priority,
    dead_end_barrier, max_attempts, retry_initial_delay_secs, retry_multiplier, retry_max_delay_secs, run_at,
    rules, status, wait_finished, wait_success)
  select p_ids[x.n], p_ranks[x.n], p_batch_id, task ->> 'name', task ->> 'kind',
    coalesce((task ->> 'timeout')::integer, 60), coalesce(task -> 'metadata', 'null'),
    (task ->> 'expected_count')::bigint, coalesce((task ->> 'priority')::integer, 0),
    coalesce((task ->> 'dead_end_barrier')::boolean, false),
    -- Rounded as numeric, because the smallest numbers are no double precision.
    coalesce((task -> 'retry' ->> 'max_attempts')::integer, 1),
    coalesce(round((task -> 'retry' ->> 'initial_delay_secs')::numeric, 9)::float8, 5),
    coalesce(round((task -> 'retry' ->> 'multiplier')::numeric, 9)::float8, 2),
    coalesce(round((task -> 'retry' ->> 'max_delay_secs')::numeric, 9)::float8, 300),
    case when task ->> 'run_at' is not null then taskrunner_private.to_moment(task ->> 'run_at') end,
    case when coalesce(task -> 'rules', '[]') in ('[]', 'null') then '[]' else taskrunner_private.normal_rules(task -> 'rules') end,
    case when l.parents > 0 then 'Waiting' else 'Pending' end::taskrunner.status_kind,
    coalesce(l.parents, 0), coalesce(l.required_parents, 0)
  from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
  left join (
    select u.child, count(*) as parents, count(*) filter (where u.required) as required_parents
    from unnest(p_children, p_required) as u (child, required)
    group by u.child
  ) l on l.child = x.n
  order by x.n;
end $$;
