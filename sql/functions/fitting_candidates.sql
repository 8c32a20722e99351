-- The next ready tasks without rules in order, their task rows locked, no more of a webhook host than it has room for. Parameters and
-- held, by_host, passed: claim_tasks. Read behind the marks, and if that gives too few, with p_rescan from the start. Tasks of hosts without
-- room are passed over. With p_look nothing is read in order once a host is known to have none, but all is looked up by host: its tasks
-- may stand before all others, however many they are.
-- Locks: rows of task, skip locked. Called by: claim_tasks.
create or replace function taskrunner_private.fitting_candidates(
  p_limit integer, p_mark_priorities integer[], p_mark_seqs bigint[], p_rescan boolean, p_hosts text[], p_rooms integer[],
  p_other_room integer, p_look boolean, p_after text,
  out task_ids uuid[], out kinds text[], out by_host uuid[], out held boolean, out passed text
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_pass boolean := coalesce(0 >= any(p_rooms), false) or coalesce(p_other_room <= 0, false);
  v_look boolean := p_look and v_pass;
  v_rooms jsonb := case when v_pass then jsonb_object(p_hosts, p_rooms::text[]) end;
  v_hosts text[];
  v_fit integer[];
  v_found record;
begin
  by_host := '{}';
  held := false;
  if v_look then
    task_ids := '{}';
    kinds := '{}';
    v_hosts := '{}';
  else
    select c.task_ids, c.kinds, c.hosts into task_ids, kinds, v_hosts
    from taskrunner_private.claim_candidates(p_limit, p_mark_priorities, p_mark_seqs, v_rooms, p_other_room) c;
    if p_rescan and p_mark_seqs <> '{}' and cardinality(task_ids) < p_limit then
      -- From the start: the first look's rows are found again, since this very transaction holds them.
      select c.task_ids, c.kinds, c.hosts into task_ids, kinds, v_hosts
      from taskrunner_private.claim_candidates(p_limit, '{}', '{}', v_rooms, p_other_room) c;
    end if;
    if cardinality(task_ids) > least(p_other_room, (select min(r.room) from unnest(p_rooms) r (room))) then
      v_fit := taskrunner_private.within_rooms(v_hosts, p_hosts, p_rooms, p_other_room);
      held := cardinality(v_fit) < cardinality(task_ids);
    end if;
    if held then
      task_ids := array(select task_ids[f.n] from unnest(v_fit) f (n));
      kinds := array(select kinds[f.n] from unnest(v_fit) f (n));
      v_hosts := array(select v_hosts[f.n] from unnest(v_fit) f (n));
    end if;
    v_look := p_look and held;
    held := held or v_pass;
  end if;
  if v_look then
    v_found := taskrunner_private.host_candidates(
      p_limit - cardinality(task_ids), p_hosts, p_rooms, p_other_room, task_ids, v_hosts, p_after);
    by_host := v_found.task_ids;
    passed := v_found.passed;
    held := held or v_found.held;
    task_ids := task_ids || v_found.task_ids;
    kinds := kinds || v_found.kinds;
  end if;
end $$;
