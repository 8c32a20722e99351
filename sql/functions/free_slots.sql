-- Tasks that are active no more leave their slots, and the limits are woken. No stripe is taken: ends that lock limits would wait for
-- each other and for claims.
-- Locks: rows of slot, covered by their tasks' locks. Writes slot, wake. Called by: task_600_queue_update.
create or replace function taskrunner_private.free_slots(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_limits bigint[];
begin
  if not exists (select from taskrunner_private.limit_shape) then
    return;
  end if;
  with freed as (
    delete from taskrunner_private.slot s where s.task_id = any(p_ids) returning s.limit_id
  )
  select array_agg(distinct f.limit_id) into v_limits from freed f;
  if v_limits is not null then
    perform taskrunner_private.wake_later(v_limits);
  end if;
end $$;
