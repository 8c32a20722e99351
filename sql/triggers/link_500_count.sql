-- New links: the child's counters, its state, the order of ranks (contract 13.1, 6.1; lock protocol, point 6).
--   1. Is there every child? Else 23503; a foreign key asks for the parent. Both ends that existed before this transaction
--      are locked by rank. If a child does not rank above its parent, raise_ranks puts that part of the graph in order, or
--      finds the cycle, and the ranks are looked at again.
--   2. In a later statement: is the child still there, and may it still get a link? Else TR001.
--   3. Parents that have not ended are counted, Pending children become Waiting.
--   4. Children of required parents that have failed fail, and propagation goes on from them (cause link).
-- submit numbers and counts its links itself (cause submit).
-- Locks: graph lock shared, tried only (the statement holds rows already); rows of task by rank, not waiting without
-- the graph lock; in raise_ranks the graph lock exclusive.
-- SQLSTATEs: 23503, TR001, TR003, TR009, 40001. Writes of task: wait_finished, wait_success, status, paused_from,
-- failure_reason, ended_at.
create or replace function taskrunner_private.link_count() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_cause text := coalesce(current_setting('taskrunner.cause', true), '');
  v_existed uuid[];
  v_missing uuid[];
  v_low_children uuid[];
  v_their_parents uuid[];
  v_locked boolean := false;
  v_bad record;
begin
  if v_cause = 'submit' then
    return null;
  end if;

  -- A parent that ends in the very statement that links it is propagated by a trigger that may have run before this one,
  -- and would be counted down without having been counted. Looked at before ranks change, which writes parents too.
  execute $q$
    select p.id, p.status, n.child_id
    from new_rows n
    join taskrunner.task p on p.id = n.parent_id
    join taskrunner.link l on l.parent_id = n.parent_id and l.child_id = n.child_id
    where taskrunner_private.is_terminal(p.status)
      and p.xmin = l.xmin and p.cmin::text::bigint >= l.cmin::text::bigint
    limit 1
  $q$ into v_bad;
  if v_bad.id is not null then
    raise exception 'link % -> %: its parent ends in the same statement, use two', v_bad.id, v_bad.child_id
      using errcode = 'TR001', detail = v_bad.status::text;
  end if;

  -- 1. Which ends existed before, and do all links rise?
  execute $q$
    select array_agg(t.id) filter (where not taskrunner_private.created_here(t.xmin, t.created_at)),
      array_agg(ends.id) filter (where t.id is null)
    from (select parent_id from new_rows union select child_id from new_rows) as ends (id)
    left join lateral (select t.id, t.xmin, t.created_at from taskrunner.task t where t.id = ends.id offset 0) t on true
  $q$ into v_existed, v_missing;
  if v_missing is not null then
    perform taskrunner_private.raise_no_child(v_missing[1]);
  end if;
  if v_existed is not null then
    perform taskrunner_private.require_read_committed();
  end if;
  loop
    execute $q$
      select array_agg(distinct c.id), array_agg(distinct p.id)
      from new_rows l
      join taskrunner.task c on c.id = l.child_id
      join taskrunner.task p on p.id = l.parent_id
      where p.rank >= c.rank
    $q$ into v_low_children, v_their_parents;
    if v_low_children is not null then
      perform taskrunner_private.raise_ranks(v_low_children, v_their_parents);
    end if;
    exit when v_locked or v_existed is null;
    if not taskrunner_private.lock_tasks(v_existed, taskrunner_private.lock_graph_shared(false)) then
      perform taskrunner_private.raise_busy();
    end if;
    v_locked := true;
  end loop;

  -- 2. The state of the children, now that it cannot change.
  execute $q$
    select l.child_id as id, c.status, l.parent_id
    from new_rows l
    left join lateral (select c.* from taskrunner.task c where c.id = l.child_id offset 0) c on true
    where (coalesce(c.paused_from, c.status) in ('Waiting', 'Pending') and not c.contacted and c.attempt = 1) is not true
    limit 1
  $q$ into v_bad;
  if v_bad.id is not null and v_bad.status is null then
    perform taskrunner_private.raise_no_child(v_bad.id);
  elsif v_bad.id is not null then
    raise exception 'link % -> %: task % is %, a link can be added only before its first start',
      v_bad.parent_id, v_bad.id, v_bad.id, v_bad.status using errcode = 'TR001', detail = v_bad.status::text;
  end if;

  -- 3. Count.
  perform taskrunner_private.set_cause('propagate');
  execute $q$
    update taskrunner.task c
    set wait_finished = c.wait_finished + added.parents,
      wait_success = c.wait_success + added.required_parents,
      status = case when c.status = 'Pending' then 'Waiting' else c.status end,
      paused_from = case when c.status = 'Paused' then 'Waiting'::taskrunner.status_kind end
    from (
      select l.child_id, count(*) as parents, count(*) filter (where l.requires_success) as required_parents
      from new_rows l
      join taskrunner.task p on p.id = l.parent_id
      where not taskrunner_private.is_terminal(p.status)
      group by l.child_id
    ) added
    where c.id = added.child_id
  $q$;

  -- 4. Fail.
  perform taskrunner_private.set_cause('link');
  execute $q$
    update taskrunner.task c
    set status = 'Failure', ended_at = now(), paused_from = null,
      failure_reason = 'Required parent task ' || reason.parent_id || ' failed'
    from (
      select distinct on (l.child_id) l.child_id, p.id as parent_id
      from new_rows l
      join taskrunner.task p on p.id = l.parent_id
      where l.requires_success and p.status in ('Failure', 'Canceled')
      order by l.child_id, p.seq
    ) reason
    where c.id = reason.child_id
  $q$;
  perform taskrunner_private.set_cause(v_cause);
  return null;
end $$;

create or replace trigger link_500_count after insert on taskrunner.link
referencing new table as new_rows
for each statement execute function taskrunner_private.link_count();

-- In the transaction in which the triggers begin to do its work (sql/README.md, "Links and their tasks").
do $$
begin
  if exists (
    select from pg_catalog.pg_constraint where conrelid = 'taskrunner.link'::regclass and conname = 'link_child_id_fkey')
  then
    alter table taskrunner.link drop constraint link_child_id_fkey;
  end if;
end $$;
