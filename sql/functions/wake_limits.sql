-- Gives freed slots to parked tasks: looks at limits where room may have appeared. One bounded chunk, in a transaction of its own,
-- right after the one that made the room. A limit that somebody decides about at this moment keeps a row, and only one, so that
-- those behind it have their turn however often it is freed meanwhile.
-- It takes turns with claims that decide about tasks with rules: while it holds the stripes of thousands of limits, these would find
-- most of theirs taken and put their candidates off. One waits for its turn, for all: whoever comes meanwhile leaves at once, and
-- his rows are taken by that one or by whoever looks next; those who have freed slots look again for a while (internal/chores).
-- p_replica: who looks. If there is nothing to look at it is stamped as idle, unless a claim of its own holds its row, and notified
-- of the next room. idle: it was; else it looks again soon. Its own start loop is told by it; others are notified only of more than
-- p_room tasks, since all that hear of a few would come for nothing but one.
-- The commit is not waited for. If a crash undoes it, the rows stand as before; what builds on it comes behind it in the log.
-- Locks: advisory (1414681418, 5), tried; (1414681418, 3), for at most 100 ms; rows of wake and limit_lock, then of queued_task, skip
-- locked; the replica's row, skip locked.
-- Writes queued_task, gate, wake, replica.idle_wake_at.
create or replace function taskrunner_private.wake_limits(p_limit integer, p_replica uuid default null, p_room integer default 0)
returns table (looked_at integer, unparked integer, idle boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_wakes bigint[];
  v_limits bigint[];
  v_missing integer[];
begin
  looked_at := 0;
  unparked := 0;
  idle := false;
  perform set_config('synchronous_commit', 'off', true);
  if not exists (select from taskrunner_private.wake) then
    update taskrunner_private.replica r set idle_wake_at = clock_timestamp()
    where r.id in (select x.id from taskrunner_private.replica x where x.id = p_replica for no key update skip locked);
    idle := found;
    return next;
    return;
  end if;
  if not pg_try_advisory_xact_lock(1414681418, 5) then
    return next;
    return;
  end if;
  if not pg_try_advisory_xact_lock(1414681418, 3) then
    begin
      perform pg_advisory_xact_lock(1414681418, 3);
    exception when lock_not_available then
      return next;
      return;
    end;
  end if;
  select array_agg(w.id), array_agg(w.limit_id) into v_wakes, v_limits
  from (
    select x.id, x.limit_id from taskrunner_private.wake x order by x.id limit p_limit for update skip locked) w;
  if v_wakes is null then
    return next;
    return;
  end if;
  v_missing := taskrunner_private.lock_stripes(v_limits, 0);
  with taken as (
    delete from taskrunner_private.wake w
    where w.id = any(v_wakes) and ((w.limit_id & 16383)::integer <> all(v_missing) or w.id not in (
      select min(u.id) from unnest(v_wakes, v_limits) u (id, limit_id) group by u.limit_id))
    returning w.limit_id
  )
  select array_agg(t.limit_id) filter (where (t.limit_id & 16383)::integer <> all(v_missing)) into v_limits from taken t;
  perform taskrunner_private.set_cause('wake');
  if v_limits is not null then
    looked_at := cardinality(v_limits);
    unparked := taskrunner_private.unpark(v_limits);
  end if;
  perform taskrunner_private.set_cause('');
  if unparked > p_room then
    perform taskrunner_private.notify_if_idle('start');
  end if;
  update taskrunner_private.replica r set idle_wake_at = null
  where r.id in (
    select x.id from taskrunner_private.replica x
    where x.id = p_replica and x.idle_wake_at is not null for no key update skip locked);
  return next;
end $$;
