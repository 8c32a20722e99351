-- The rules that hold a Pending task, as GET /task/{id} shows them (contract 7.4); null when none does.
-- Locks: none. Called by: the query FullTask, why.
create or replace function taskrunner_private.blocked_by(p_task_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  if not exists (
    select from taskrunner.task t where t.id = p_task_id and t.status = 'Pending' and t.rules <> '[]')
  then
    return null;
  end if;
  return (
    select jsonb_agg(jsonb_build_object('rule', n.rule, 'current', least(c.current, 9223372036854775807),
      'reason', case when n.unsized then 'expected_count missing' else 'limit reached' end) order by n.n)
    from taskrunner_private.rule_needs(array[p_task_id]) n
    cross join lateral (
      select case when n.is_capacity then coalesce(sum(
          taskrunner_private.work_left(t.expected_count, t.success, t.failures)), 0) else count(*) end as current
      from taskrunner_private.slot s
      cross join lateral (select x.* from taskrunner.task x where x.id = s.task_id offset 0) t
      where s.limit_id = n.limit_id
      offset 0) c
    where n.unsized or c.current >= n.maximum);
end $$;
