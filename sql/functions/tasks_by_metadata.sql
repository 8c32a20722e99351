-- The tasks whose metadata contains p_metadata, found by its index, behind (p_before, p_before_seq), newest first, that
-- pass the other filters. All that it finds is read and sorted: for metadata that few tasks have.
-- Locks: none. Called by: list_tasks.
create or replace function taskrunner_private.tasks_by_metadata(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_timeout integer, p_metadata jsonb,
  p_before timestamptz, p_before_seq bigint, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off set jit = off as $$
begin
  return array(
    with found as materialized (
      select t.id, t.created_at, t.seq
      from taskrunner.task t
      where t.metadata @> p_metadata
        and taskrunner_private.task_fits(t, p_status, p_name, p_kind, p_timeout, null))
    select f.id
    from found f
    where (f.created_at, f.seq) < (p_before, p_before_seq)
    order by f.created_at desc, f.seq desc
    offset p_skip limit p_limit);
end $$;
