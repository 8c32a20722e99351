-- Puts children that do not rank above their parents, and all below them, back in order: everything is locked and
-- numbered anew in topological order. If there is none the links close a cycle.
-- If all of it was created by this transaction nobody else can hold or await any of these rows, and the numbers
-- change without a lock. Otherwise it takes the graph lock exclusively. p_parents are locked in the same ordered
-- step, because the caller locks them next.
-- Locks: graph lock exclusive; rows of task by rank. SQLSTATEs: TR003, 40001.
-- Called by: triggers/link_500_count.sql. Writes task.rank.
create or replace function taskrunner_private.raise_ranks(p_children uuid[], p_parents uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_below uuid[] := taskrunner_private.descendants(p_children);
  v_links record;
  v_order integer[];
  v_ranks bigint[];
  v_cycle text;
  v_cause text := coalesce(current_setting('taskrunner.cause', true), '');
begin
  if exists (
    select from taskrunner.task t
    where t.id = any(v_below) and not taskrunner_private.created_here(t.xmin, t.created_at)
  ) then
    v_below := taskrunner_private.lock_graph_exclusive(p_children, p_parents);
  end if;

  -- In the order of today's ranks, so that what is in order already stays in it.
  v_below := array(select t.id from taskrunner.task t where t.id = any(v_below) order by t.rank);
  v_links := taskrunner_private.links_among(v_below);
  v_order := taskrunner_private.topological_order(cardinality(v_below), v_links.parents, v_links.children);
  if cardinality(v_order) < cardinality(v_below) then
    select 'dependency cycle: ' || string_agg(v_below[c.n]::text, ' -> ' order by c.step) into v_cycle
    from unnest(taskrunner_private.find_cycle(
      cardinality(v_below), v_links.parents, v_links.children, v_order)) with ordinality as c (n, step);
    raise exception '%', v_cycle using errcode = 'TR003', detail = jsonb_build_array(v_cycle)::text;
  end if;

  select array_agg(nextval('taskrunner.task_rank_seq')) into v_ranks from generate_series(1, cardinality(v_below));
  perform taskrunner_private.set_cause('rerank');
  update taskrunner.task t
  set rank = v_ranks[place.n]
  from unnest(v_order) with ordinality as place (node, n)
  where t.id = v_below[place.node];
  perform taskrunner_private.set_cause(v_cause);
end $$;
