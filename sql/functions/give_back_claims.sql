-- A replica that never heard of some of its claims, because the answer was lost with its connection, gives them back: the tasks that
-- it has Claimed, but for p_kept, those whose calls are open or not settled. No call was made, so this is no lost try. What
-- somebody holds at this moment goes stale like any claim.
-- Locks: graph lock shared, rows of task by rank, all only tried. SQLSTATE: TR009. Called by: a start loop, whose next claim waits for
-- it.
create or replace function taskrunner_private.give_back_claims(p_replica uuid, p_kept uuid[])
returns table (given_back integer, counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_unknown uuid[];
  v_tries jsonb;
begin
  if not pg_try_advisory_xact_lock(1414681424, hashtext(p_replica::text)) then
    return query select null::integer, '';
    return;
  end if;
  perform taskrunner_private.begin_counts();
  v_unknown := array(
    select a.task_id
    from taskrunner_private.active_task a
    cross join lateral (select x.status, x.paused_from from taskrunner.task x where x.id = a.task_id offset 0) t
    where a.replica_id = p_replica and a.task_id <> all(p_kept) and coalesce(t.paused_from, t.status) = 'Claimed');
  if v_unknown <> '{}' then
    v_unknown := taskrunner_private.try_lock_each(v_unknown);
    -- Ended, or swept and claimed anew since?
    select jsonb_agg(jsonb_build_object('task_id', a.task_id)) into v_tries
    from taskrunner_private.active_task a
    cross join lateral (select x.status, x.paused_from from taskrunner.task x where x.id = a.task_id offset 0) t
    where a.task_id = any(v_unknown) and a.replica_id = p_replica and coalesce(t.paused_from, t.status) = 'Claimed';
    if v_tries is not null then
      perform taskrunner_private.settle_failed_starts(v_tries);
    end if;
  end if;
  return query select coalesce(jsonb_array_length(v_tries), 0), taskrunner_private.take_counts();
end $$;
