-- The next tasks of batches of which everything ended before p_before; the oldest batches first, and within a batch the oldest tasks.
-- At most p_limit tasks, of at most p_limit batches that are looked at.
-- p_from: {"batch_at", "batch_seq"}, the batch to begin with; with {"task_at", "task_seq"} it is known to be whole, and goes on behind
-- that task. next: the same for the next call; null: no batch is left.
-- Batches without tasks are left alone: somebody may be about to fill them.
-- Locks: none. Called by: prune.
create or replace function taskrunner_private.whole_batch_tasks(
  p_before timestamptz, p_from jsonb, p_limit integer, out ids uuid[], out next jsonb
)
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_resumed bigint := case when p_from ? 'task_seq' then (p_from ->> 'batch_seq')::bigint end;
  v_task_at timestamptz := coalesce((p_from ->> 'task_at')::timestamptz, '-infinity');
  v_task_seq bigint := coalesce((p_from ->> 'task_seq')::bigint, 0);
  v_looked_at integer := 0;
  v_batch record;
  v_ids uuid[];
begin
  ids := '{}';
  for v_batch in
    select b.id, b.created_at, b.seq from taskrunner.batch b
    where (b.created_at, b.seq)
        >= (coalesce((p_from ->> 'batch_at')::timestamptz, '-infinity'), coalesce((p_from ->> 'batch_seq')::bigint, 0))
      and b.created_at < p_before
    order by b.created_at, b.seq
    limit p_limit
  loop
    v_looked_at := v_looked_at + 1;
    next := jsonb_build_object('batch_at', v_batch.created_at, 'batch_seq', v_batch.seq + 1);
    if v_batch.seq is distinct from v_resumed then
      v_task_at := '-infinity';
      v_task_seq := 0;
      -- From the youngest, which end last as a rule.
      continue when (
        select t.id from taskrunner.task t
        where t.batch_id = v_batch.id and (t.ended_at < p_before) is not true
        order by t.created_at desc, t.seq desc
        limit 1) is not null;
    end if;
    v_ids := array(
      select t.id from taskrunner.task t
      where t.batch_id = v_batch.id and (t.created_at, t.seq) > (v_task_at, v_task_seq)
      order by t.created_at, t.seq
      limit p_limit - cardinality(ids));
    ids := ids || v_ids;
    if cardinality(ids) = p_limit then
      next := taskrunner_private.place_in_batch(ids[p_limit]);
      return;
    end if;
  end loop;
  if v_looked_at < p_limit then
    next := null;
  end if;
end $$;
