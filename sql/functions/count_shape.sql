-- Begins to count a shape: from now on active tasks of the kind have slots in its limits, those that are active already too.
-- Locks: none waited for; the caller holds the lock of the kind exclusively, and the kind's active tasks.
-- Called by: register_shape, count_shapes_now. Writes limit_shape, slot.
create or replace function taskrunner_private.count_shape(p_kind text, p_fields text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  insert into taskrunner_private.limit_shape (kind, fields) values (p_kind, p_fields);
  -- In a later statement than the one that locked: those that are active still.
  insert into taskrunner_private.slot (limit_id, task_id)
  select s.limit_id, s.task_id
  from taskrunner_private.task_slots(array(
    select a.task_id from taskrunner_private.active_task a where a.kind = p_kind)) s
  on conflict do nothing;
end $$;
