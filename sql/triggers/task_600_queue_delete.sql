-- A deleted task leaves nothing behind. Links to its children and its actions go by foreign keys.
-- Locks: their rows of delivery by id, then of due_delivery, in the order of settle_deliveries. Writes link, ended_task,
-- delivery, due_delivery, troubled_delivery.
create or replace function taskrunner_private.task_queue_delete() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_deleted uuid[];
begin
  execute 'select array_agg(id) from old_rows' into v_deleted;
  if v_deleted is null then
    return null;
  end if;
  delete from taskrunner.link where child_id = any(v_deleted);
  perform from (
    select from taskrunner_private.delivery d where d.task_id = any(v_deleted) order by d.id for update) locked;
  delete from taskrunner_private.ended_task where task_id = any(v_deleted);
  delete from taskrunner_private.troubled_delivery f using taskrunner_private.delivery d
  where d.task_id = any(v_deleted) and f.created_at = d.created_at and f.delivery_id = d.id;
  delete from taskrunner_private.due_delivery
  where delivery_id in (select d.id from taskrunner_private.delivery d where d.task_id = any(v_deleted));
  delete from taskrunner_private.delivery where task_id = any(v_deleted);
  return null;
end $$;

create or replace trigger task_600_queue_delete after delete on taskrunner.task
referencing old table as old_rows
for each statement execute function taskrunner_private.task_queue_delete();
