-- The batches behind (p_before, p_before_seq), newest first, that hold a task which was created within the interval and
-- passes the filters that are not null. With p_walk only that many batches are tried.
-- Locks: none. Called by: matching_batches.
create or replace function taskrunner_private.walk_batches(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_since timestamptz, p_until timestamptz,
  p_before timestamptz, p_before_seq bigint, p_walk bigint, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
begin
  return array(
    select b.id
    from (
      select w.id, w.created_at, w.seq
      from taskrunner.batch w
      where (w.created_at, w.seq) < (p_before, p_before_seq)
      order by w.created_at desc, w.seq desc
      limit p_walk) b
    where exists (
      select from taskrunner.task t
      where t.batch_id = b.id and t.created_at between p_since and p_until
        and taskrunner_private.task_fits(t, p_status, p_name, p_kind, null, null)
      offset 0)
    order by b.created_at desc, b.seq desc
    offset p_skip limit p_limit);
end $$;
