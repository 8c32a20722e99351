-- The batches of a page of list_batches, in its order. They are gone through from the newest until the page is full,
-- unless few tasks can match: then their batches are looked up. If the newest batches do not fill the page, more tasks
-- than that are few. A part of a name or kind can only be looked for in every batch.
-- Locks: none. Called by: list_batches.
create or replace function taskrunner_private.matching_batches(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_since timestamptz, p_until timestamptz,
  p_before timestamptz, p_before_seq bigint, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_batches bigint := (select s.last_value from taskrunner.batch_seq_seq s);
  v_tasks bigint := (select s.last_value from taskrunner.task_seq_seq s);
  v_all boolean := p_status is null and p_name is null and p_kind is null and not isfinite(p_since) and not isfinite(p_until);
  v_walk bigint;                                             -- how many batches are tried at first
  v_found uuid[];
begin
  -- Whatever page is asked for, there are no more batches than numbers were given out.
  if p_skip >= v_batches then
    return '{}';
  end if;
  if v_all then
    return taskrunner_private.walk_batches(null, null, null, p_since, p_until, p_before, p_before_seq, null, p_skip, p_limit);
  end if;

  v_found := taskrunner_private.rare_batches(
    p_status, p_name, p_kind, p_since, p_until, p_before, p_before_seq, 2000, 5000, p_skip, p_limit);
  if v_found is not null then
    return v_found;
  end if;

  -- As many as have about 30,000 tasks.
  v_walk := greatest(30000 * v_batches / v_tasks, p_skip + p_limit);
  v_found := taskrunner_private.walk_batches(
    p_status, p_name, p_kind, p_since, p_until, p_before, p_before_seq, v_walk, p_skip, p_limit);
  if cardinality(v_found) >= p_limit or not exists (
    select from taskrunner.batch b where (b.created_at, b.seq) < (p_before, p_before_seq)
    order by b.created_at desc, b.seq desc offset v_walk limit 1)
  then
    return v_found;
  end if;

  return coalesce(
    taskrunner_private.rare_batches(
      p_status, p_name, p_kind, p_since, p_until, p_before, p_before_seq, 100000, 300000, p_skip, p_limit),
    taskrunner_private.walk_batches(
      p_status, p_name, p_kind, p_since, p_until, p_before, p_before_seq, null, p_skip, p_limit));
end $$;
