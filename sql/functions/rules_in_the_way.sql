-- The rules that would not let a queued task start now, a row for each, as why shows them: full ones with some of the tasks that hold
-- them, a Capacity rule that misses expected_count, and one that is not counted yet (register_shape).
-- Locks: none. Called by: why.
create or replace function taskrunner_private.rules_in_the_way(p_task_id uuid) returns table (reason text, detail jsonb)
language sql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select case
      when n.shape_id is null then format(
        'Rule %s is the first about %s: it starts as soon as these are counted.', n.n, m.tasks)
      when n.unsized then format('Rule %s limits the work of %s, but it has no expected_count.', n.n, m.tasks)
      when n.is_capacity then format('Rule %s lets it start while active %s have less than %s left to do; they have %s: %s.',
        n.n, m.tasks, n.maximum, c.work, c.names)
      else format('Rule %s lets at most %s of the %s be active at once; %s %s: %s.', n.n, n.maximum, m.tasks, c.slots,
        case c.slots when 1 then 'is' else 'are' end, c.names) end,
    jsonb_build_object('rule', n.rule, 'current', case when n.is_capacity then c.work else c.slots end,
      'reason', case when n.shape_id is null then 'not counted yet' when n.unsized then 'expected_count missing' else 'limit reached' end,
      'holders', c.holders)
  from taskrunner_private.rule_needs(array[p_task_id]) n
  cross join lateral (
    select format('tasks of kind "%s"', n.kind) || coalesce(' with ' || string_agg(
        format('%s = %s', f.name, left((t.metadata -> f.name)::text, 100)), ', ' order by f.o), '') as tasks
    from taskrunner.task t
    cross join lateral unnest(n.fields) with ordinality f (name, o)
    where t.id = p_task_id
    offset 0) m
  cross join lateral (
    select count(*) as slots, coalesce(sum(s.work), 0) as work,
      coalesce(string_agg(format('%s "%s"', s.id, s.name), ', ' order by s.seq) filter (where s.o <= 5), '')
        || case when count(*) > 5 then format(' and %s more', count(*) - 5) else '' end as names,
      coalesce(jsonb_agg(jsonb_build_object('task_id', s.id, 'name', s.name, 'status', s.status) order by s.seq)
        filter (where s.o <= 5), '[]') as holders
    from (
      select t.id, t.name, t.status, t.seq, row_number() over (order by t.seq) as o,
        taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
      from taskrunner_private.slot x
      cross join lateral (select y.* from taskrunner.task y where y.id = x.task_id offset 0) t
      where x.limit_id = n.limit_id) s
    offset 0) c
  where n.shape_id is null or n.unsized or case when n.is_capacity then c.work else c.slots end >= n.maximum
  order by n.n;
$$;
