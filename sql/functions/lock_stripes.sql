-- Locks the stripes of limits in their order, and returns those it did not get. p_wait_ms null: waits as long as it takes;
-- 0: not at all; else that long in all, and in vain not at all: then it takes what is free.
-- lock_timeout counts for each lock, hence the division. Here is the one exception block on a hot path, entered only if
-- somebody holds a stripe.
-- Locks: rows of limit_lock by number. Called by: admit, wake_limits, recheck_limits, delete_gates.
create or replace function taskrunner_private.lock_stripes(p_limits bigint[], p_wait_ms integer) returns integer[]
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_wanted integer[] := array(select distinct (l & 16383)::integer from unnest(p_limits) l);
  v_timeout text := current_setting('lock_timeout');
  v_got integer[];
begin
  if p_wait_ms is null then
    perform from taskrunner_private.limit_lock l where l.stripe = any(v_wanted) order by l.stripe for no key update;
    return '{}';
  end if;
  v_got := array(
    select l.stripe from taskrunner_private.limit_lock l
    where l.stripe = any(v_wanted) order by l.stripe for no key update skip locked);
  if cardinality(v_got) = cardinality(v_wanted) or p_wait_ms = 0 then
    return array(select unnest(v_wanted) except select unnest(v_got));
  end if;
  -- What is held already is not waited for, and whoever waits for us while we wait for him is broken up by the time limit.
  begin
    perform set_config('lock_timeout', greatest(1, p_wait_ms / (cardinality(v_wanted) - cardinality(v_got)))::text, true);
    perform from taskrunner_private.limit_lock l where l.stripe = any(v_wanted) order by l.stripe for no key update;
    v_got := v_wanted;
  exception when lock_not_available or deadlock_detected then  -- the latter where deadlock_timeout is shorter than ours
    null;                                                    -- what was taken before the block is still held
  end;
  perform set_config('lock_timeout', v_timeout, true);
  return array(select unnest(v_wanted) except select unnest(v_got));
end $$;
