-- A page of GET /batches, newest first: the batches behind (p_before, p_before_seq), or from the newest when that is
-- null, that hold a task which passes all filters that are not null; with sums over all their tasks, and the kinds of
-- those that pass.
-- Locks: none. Called by: queries/inspect.sql.
create or replace function taskrunner_private.list_batches(
  p_status taskrunner.status_kind, p_name text, p_kind text, p_since timestamptz, p_until timestamptz,
  p_before timestamptz, p_before_seq bigint, p_skip bigint, p_limit integer
) returns table (
  batch_id uuid, batch_name text, created_at timestamptz, seq bigint,
  total_tasks bigint, first_created_at timestamptz, latest_updated_at timestamptz,
  waiting bigint, pending bigint, claimed bigint, running bigint, success bigint, failure bigint, paused bigint,
  canceled bigint, kinds text[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_since timestamptz := coalesce(p_since, '-infinity');
  v_until timestamptz := coalesce(p_until, 'infinity');
  v_ids uuid[];
begin
  v_ids := taskrunner_private.matching_batches(p_status, p_name, p_kind, v_since, v_until,
    coalesce(p_before, 'infinity'), coalesce(p_before_seq, 9223372036854775807), p_skip, p_limit);
  return query
    select b.id, b.name, b.created_at, b.seq, tasks.*
    from unnest(v_ids) with ordinality as page (id, place)
    join taskrunner.batch b on b.id = page.id
    cross join lateral (
      select count(*), min(t.created_at),
        -- An admin may have set it to what cannot be shown.
        least(greatest(max(t.last_updated), '0001-01-01Z'), '9999-12-31T23:59:59.999999Z'),
        count(*) filter (where t.status = 'Waiting'), count(*) filter (where t.status = 'Pending'),
        count(*) filter (where t.status = 'Claimed'), count(*) filter (where t.status = 'Running'),
        count(*) filter (where t.status = 'Success'), count(*) filter (where t.status = 'Failure'),
        count(*) filter (where t.status = 'Paused'), count(*) filter (where t.status = 'Canceled'),
        array_agg(distinct t.kind collate "C") filter (
          where t.created_at between v_since and v_until
            and taskrunner_private.task_fits(t, p_status, p_name, p_kind, null, null))
      from taskrunner.task t
      where t.batch_id = b.id
      offset 0) tasks
    order by page.place;
end $$;
