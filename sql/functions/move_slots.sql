-- Active tasks whose metadata has changed: their slots move to other limits, and those they left are woken. A move is no start, so
-- it is not checked (contract 7.2).
-- Locks: rows of slot, covered by their tasks' locks. Writes slot, wake. Called by: task_600_queue_update.
create or replace function taskrunner_private.move_slots(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_limits bigint[];
begin
  if not exists (select from taskrunner_private.limit_shape) then
    return;
  end if;
  with now_in as materialized (
    select s.limit_id, s.task_id from taskrunner_private.task_slots(p_ids) s
  ), entered as (
    insert into taskrunner_private.slot (limit_id, task_id)
    select n.limit_id, n.task_id from now_in n
    on conflict do nothing
  ), left_behind as (
    delete from taskrunner_private.slot s
    where s.task_id = any(p_ids)
      and not exists (select from now_in n where n.limit_id = s.limit_id and n.task_id = s.task_id)
    returning s.limit_id
  )
  select array_agg(distinct l.limit_id) into v_limits from left_behind l;
  if v_limits is not null then
    perform taskrunner_private.wake_later(v_limits);
  end if;
end $$;
