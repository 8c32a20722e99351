-- The batches of a page of list_batches, in its order. They are gone through from the newest until the page is full. If
-- the first of them do not fill it, what is asked for may be rare: then its tasks are looked for, by the interval or by
-- the status, unless that is too many. A part of a name or kind alone can only be looked for in every batch.
-- Locks: none. Called by: list_batches.
create or replace function taskrunner_private.matching_batches(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_since timestamptz, p_until timestamptz,
  p_before timestamptz, p_before_seq bigint, p_skip bigint, p_limit integer
) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_first constant integer := 1000;                          -- batches that are tried first
  v_rare constant integer := 100000;                         -- tasks that are not too many
  v_newest constant bigint := 9223372036854775807;
  v_interval boolean := isfinite(p_since) or isfinite(p_until);
  v_found uuid[];
  v_tasks uuid[];
begin
  -- Whatever page is asked for, there are no more batches than numbers were given out.
  if p_skip >= (select s.last_value from taskrunner.batch_seq_seq s) then
    return '{}';
  end if;
  if p_status is null and p_name is null and p_kind is null and not v_interval then
    return taskrunner_private.walk_batches(null, null, null, p_since, p_until, p_before, p_before_seq, null, p_skip, p_limit);
  end if;

  v_found := taskrunner_private.walk_batches(
    p_status, p_name, p_kind, p_since, p_until, p_before, p_before_seq, v_first, p_skip, p_limit);
  if cardinality(v_found) >= p_limit or not exists (
    select from taskrunner.batch b where (b.created_at, b.seq) < (p_before, p_before_seq)
    order by b.created_at desc, b.seq desc offset v_first limit 1)
  then
    return v_found;
  end if;

  if v_interval and not exists (
    select from taskrunner.task t where t.created_at between p_since and p_until
    order by t.created_at, t.seq offset v_rare limit 1)
  then
    v_tasks := array(select t.id from taskrunner.task t where t.created_at between p_since and p_until);
  elsif p_status is not null
    and taskrunner_private.tasks_by_status(
      p_status, null, p_kind, null, null, 'infinity', v_newest, null, v_rare, 1) = '{}'
  then
    v_tasks := taskrunner_private.tasks_by_status(
      p_status, null, p_kind, null, null, 'infinity', v_newest, null, 0, v_rare);
  else
    return taskrunner_private.walk_batches(
      p_status, p_name, p_kind, p_since, p_until, p_before, p_before_seq, null, p_skip, p_limit);
  end if;
  return array(
    select b.id
    from (
      select distinct t.batch_id
      from unnest(v_tasks) as rare (id)
      cross join lateral (
        select t.batch_id
        from taskrunner.task t
        where t.id = rare.id and t.batch_id is not null and t.created_at between p_since and p_until
          and taskrunner_private.task_fits(t, p_status, p_name, p_kind, null, null)
        offset 0) t) found
    cross join lateral (
      select b.id, b.created_at, b.seq
      from taskrunner.batch b
      where b.id = found.batch_id and (b.created_at, b.seq) < (p_before, p_before_seq)
      offset 0) b
    order by b.created_at desc, b.seq desc
    offset p_skip limit p_limit);
end $$;
