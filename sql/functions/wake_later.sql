-- Notes that these limits may have room, in rows that commit together with the room; wake_limits looks at them.
-- Locks: none waited for. Writes wake. Called by: put_off, unpark, free_slots, move_slots, task_600_queue_update.
create or replace function taskrunner_private.wake_later(p_limits bigint[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into taskrunner_private.wake (limit_id) select distinct unnest(p_limits);
$$;
