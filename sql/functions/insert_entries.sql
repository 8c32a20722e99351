-- Writes the tasks of a request in array order, with the counters and the state that their links among each other give
-- them, their start actions, and their rows of the queue: in one statement, which reads each entry once.
-- p_children, p_required: of each link, the child's position from 1 and whether it needs success.
-- Locks: none waited for. Called by: submit under cause submit. Writes task, action, queued_task.
create or replace function taskrunner_private.insert_entries(
  p_batch_id uuid, p_tasks jsonb, p_ids uuid[], p_ranks bigint[], p_children integer[], p_required boolean[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_hashjoin = on set jit = off as $$
begin
  with entry as materialized (
    select x.n, p_ids[x.n] as id, x.task, x.task -> 'on_start' -> 'params' as params
    from jsonb_array_elements(p_tasks) with ordinality as x (task, n)
  ), parents as (
    select u.child, count(*) as all_parents, count(*) filter (where u.required) as required_parents
    from unnest(p_children, p_required) as u (child, required)
    group by u.child
  ), created as (
    insert into taskrunner.task (id, rank, batch_id, name, kind, timeout, metadata, expected_count, priority,
      dead_end_barrier, max_attempts, retry_initial_delay_secs, retry_multiplier, retry_max_delay_secs, run_at,
      rules, status, wait_finished, wait_success)
    select id, p_ranks[n], p_batch_id, task ->> 'name', task ->> 'kind',
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
      case when all_parents > 0 then 'Waiting' else 'Pending' end::taskrunner.status_kind,
      coalesce(all_parents, 0), coalesce(required_parents, 0)
    from entry
    left join parents on child = n
    order by n
    returning id, seq, created_at, run_at, priority, status, kind, rules
  ), started as (
    -- Of the same id: nobody compares the two, and to make one costs as much as to unpack an entry.
    insert into taskrunner.action (id, task_id, trigger, params)
    select id, id, 'Start', params from entry
  )
  insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind, host, has_rules)
  select c.id, c.seq, c.created_at, c.run_at, c.priority, taskrunner_private.queue_state(c.status, c.run_at), c.kind,
    taskrunner_private.url_host(e.params ->> 'url'), c.rules <> '[]'
  from created c
  join entry e using (id);
end $$;
