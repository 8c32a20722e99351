-- Closes the Start deliveries of tasks that have ended or were paused while a next try was to come.
-- Locks: these rows of delivery, covered by the tasks' locks. Writes delivery, troubled_delivery.
-- Called by: triggers/task_700_outbox.sql.
create or replace function taskrunner_private.close_starts(p_task_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  with closed as (
    update taskrunner_private.delivery d
    set status = 'Canceled', finished_at = now()
    where d.task_id = any(p_task_ids) and d.trigger = 'Start' and d.status = 'Pending'
    returning d.created_at, d.id
  )
  delete from taskrunner_private.troubled_delivery f using closed
  where f.created_at = closed.created_at and f.delivery_id = closed.id;
end $$;
