-- Gives freed slots to parked tasks: looks at limits where room may have appeared. One bounded chunk, in a transaction of its own,
-- right after the one that made the room. A limit that somebody decides about at this moment keeps a row, and only one, so that
-- those behind it have their turn however often it is freed meanwhile.
-- It takes turns with claims that decide about tasks with rules: while it holds the stripes of thousands of limits, these would find
-- most of theirs taken and put their candidates off. One waits for its turn, for all: whoever comes meanwhile leaves at once, and
-- his rows are taken by that one or by whoever looks next; those who have freed slots look again for a while (internal/chores).
-- Locks: advisory (1414681418, 5), tried; (1414681418, 3), for at most 100 ms; rows of wake and limit_lock, then of queued_task, skip
-- locked.
-- Writes queued_task, wake.
create or replace function taskrunner_private.wake_limits(p_limit integer) returns table (looked_at integer, unparked integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_wakes bigint[];
  v_limits bigint[];
  v_missing integer[];
begin
  if not exists (select from taskrunner_private.wake) or not pg_try_advisory_xact_lock(1414681418, 5) then
    return query select 0, 0;
    return;
  end if;
  if not pg_try_advisory_xact_lock(1414681418, 3) then
    begin
      perform pg_advisory_xact_lock(1414681418, 3);
    exception when lock_not_available then
      return query select 0, 0;
      return;
    end;
  end if;
  select array_agg(w.id), array_agg(w.limit_id) into v_wakes, v_limits
  from (
    select x.id, x.limit_id from taskrunner_private.wake x order by x.id limit p_limit for update skip locked) w;
  if v_wakes is null then
    return query select 0, 0;
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
  return query select coalesce(cardinality(v_limits), 0), taskrunner_private.unpark(coalesce(v_limits, '{}'));
  perform taskrunner_private.set_cause('');
end $$;
