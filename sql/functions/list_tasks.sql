-- A page of GET /task, newest first: the tasks behind (p_before, p_before_seq), or from the newest when that is null,
-- that pass the filters which are not null. A batch, a status, or else all tasks are gone through in order until the page
-- is full, whatever statistics say about filters: what is common fills it at once. For metadata that is rare there is
-- its index; that it is rare shows when a walk over the newest rows does not fill the page.
-- Locks: none. Called by: queries/inspect.sql.
create or replace function taskrunner_private.list_tasks(
  p_status taskrunner.status_kind, p_batch_id uuid, p_name text, p_kind text, p_timeout integer, p_metadata jsonb,
  p_before timestamptz, p_before_seq bigint, p_skip bigint, p_limit integer
) returns setof taskrunner.task
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_before timestamptz := coalesce(p_before, 'infinity');
  v_before_seq bigint := coalesce(p_before_seq, 9223372036854775807);
  v_all boolean := p_name is null and p_kind is null and p_timeout is null and p_metadata is null;
  v_walk integer;                                            -- how many rows are tried before the index of metadata
  v_more boolean;
  v_ids uuid[];
begin
  -- Whatever page is asked for, there are no more tasks than numbers were given out.
  if p_skip >= (select s.last_value from taskrunner.task_seq_seq s) then
    return;
  end if;
  -- The index finds values only; {} and [] would make it read all of itself.
  if p_batch_id is null
    and jsonb_path_exists(p_metadata, 'strict $.** ? (@.type() <> "object" && @.type() <> "array")') then
    v_walk := 10000;
  end if;

  if p_batch_id is not null then
    v_ids := array(
      select t.id
      from taskrunner.task t
      where t.batch_id = p_batch_id and (t.created_at, t.seq) < (v_before, v_before_seq)
        and taskrunner_private.task_fits(t, p_status, p_name, p_kind, p_timeout, p_metadata)
      order by t.created_at desc, t.seq desc
      offset p_skip limit p_limit);
  elsif p_status is not null then
    v_ids := taskrunner_private.tasks_by_status(
      p_status, p_name, p_kind, p_timeout, p_metadata, v_before, v_before_seq, v_walk, p_skip, p_limit);
  elsif v_all or v_walk is not null then
    -- What is skipped is skipped in the index alone.
    v_ids := array(
      select t.id
      from (
        select w.created_at, w.seq
        from taskrunner.task w
        where (w.created_at, w.seq) < (v_before, v_before_seq)
        order by w.created_at desc, w.seq desc
        offset case when v_all then p_skip else 0 end limit case when v_all then p_limit else v_walk end) walk
      cross join lateral (
        select t.id
        from taskrunner.task t
        where t.created_at = walk.created_at and t.seq = walk.seq
          and taskrunner_private.task_fits(t, null, p_name, p_kind, p_timeout, p_metadata)
        offset 0) t
      order by walk.created_at desc, walk.seq desc
      offset case when v_all then 0 else p_skip end limit p_limit);
  else
    v_ids := array(
      select t.id
      from taskrunner.task t
      where (t.created_at, t.seq) < (v_before, v_before_seq)
        and taskrunner_private.task_fits(t, null, p_name, p_kind, p_timeout, p_metadata)
      order by t.created_at desc, t.seq desc
      offset p_skip limit p_limit);
  end if;

  if v_walk is not null and cardinality(v_ids) < p_limit then
    -- The page is not full. Was that all there is?
    if p_status is null then
      v_more := exists (
        select from taskrunner.task t where (t.created_at, t.seq) < (v_before, v_before_seq)
        order by t.created_at desc, t.seq desc offset v_walk limit 1);
    else
      v_more := taskrunner_private.tasks_by_status(
        p_status, null, null, null, null, v_before, v_before_seq, null, v_walk, 1) <> '{}';
    end if;
    if v_more then
      v_ids := taskrunner_private.tasks_by_metadata(
        p_status, p_name, p_kind, p_timeout, p_metadata, v_before, v_before_seq, p_skip, p_limit);
    end if;
  end if;
  return query
    select t.*
    from unnest(v_ids) with ordinality as page (id, place)
    join taskrunner.task t on t.id = page.id
    order by page.place;
end $$;
