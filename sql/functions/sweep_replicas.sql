-- The chore of dead replicas: the Claimed tasks of a replica without a heartbeat for p_silence_secs go back to
-- Pending. Its Running tasks belong to the remote side and stay. When no claim is left the replica's row goes, so that
-- its tasks are not looked at again. One bounded chunk.
-- Locks: the silent rows of replica, skip locked and re-tested, so that a heartbeat in flight wins and no two sweep the
-- same one; rows of watch, skip locked; graph lock shared, rows of task by rank, all only tried. SQLSTATE: TR009.
create or replace function taskrunner_private.sweep_replicas(p_limit integer, p_silence_secs integer)
returns table (replicas integer, requeued integer, counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_dead uuid[];
  v_held uuid[];
  v_locked uuid[] := '{}';
  v_all boolean;                                             -- no claim of theirs is left out
begin
  perform taskrunner_private.begin_counts();
  v_dead := array(
    select r.id from taskrunner_private.replica r
    where r.heartbeat_at < clock_timestamp() - make_interval(secs => p_silence_secs)
    for update skip locked);
  v_held := array(
    select a.task_id
    from taskrunner_private.active_task a
    cross join lateral (select x.status, x.paused_from from taskrunner.task x where x.id = a.task_id offset 0) t
    where a.replica_id = any(v_dead) and coalesce(t.paused_from, t.status) = 'Claimed'
    limit p_limit);
  v_all := cardinality(v_held) < p_limit;
  if v_held <> '{}' then
    v_locked := taskrunner_private.try_lock_each(v_held);
    v_all := v_all and cardinality(v_locked) = cardinality(v_held);
    -- Settled or claimed anew since? Then it is no longer a claim of the dead.
    v_locked := array(
      select a.task_id
      from taskrunner_private.active_task a
      cross join lateral (select x.status, x.paused_from from taskrunner.task x where x.id = a.task_id offset 0) t
      where a.task_id = any(v_locked) and a.replica_id = any(v_dead)
        and coalesce(t.paused_from, t.status) = 'Claimed');
    perform taskrunner_private.requeue_stale(v_locked);
  end if;
  if v_all then
    delete from taskrunner_private.replica r where r.id = any(v_dead);
    delete from taskrunner_private.watch w
    where w.ctid = any(array(
      select x.ctid from taskrunner_private.watch x
      where x.replica_id = any(v_dead) or x.expires_at < clock_timestamp() for update skip locked));
  end if;
  return query select cardinality(v_dead), cardinality(v_locked), taskrunner_private.take_counts();
end $$;
