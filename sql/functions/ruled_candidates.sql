-- The next ready tasks with rules in order, their task rows locked: up to p_limit, and fewer when they have very many rules, since
-- somebody waits for the claim that decides about them. more: there may be more.
-- Locks: rows of task, for no key update skip locked. Called by: decide_candidates.
create or replace function taskrunner_private.ruled_candidates(p_limit integer, out ids uuid[], out more boolean)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_material = off set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off as $$
begin
  select coalesce(array_agg(c.id) filter (where c.before < 2000), '{}'), count(*) = p_limit or coalesce(bool_or(c.before >= 2000), false)
  into ids, more
  from (
    select f.id, coalesce(sum(jsonb_array_length(f.rules)) over (rows between unbounded preceding and 1 preceding), 0) as before
    from (
      select t.id, t.rules
      from taskrunner_private.queued_task q
      join taskrunner.task t on t.id = q.task_id
      where q.state = 'ready' and q.has_rules and t.status = 'Pending'
      order by q.priority desc, q.seq
      limit p_limit
      for no key update of t skip locked) f) c;
end $$;
