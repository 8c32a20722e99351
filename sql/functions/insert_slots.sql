-- The slots of tasks that become active, if any shape of their kinds is counted. Not for those that are active already.
-- Locks: none waited for; the caller has locked their kinds (try_lock_kinds). Writes slot. Called by: claim_tasks, admit_by_sql.
create or replace function taskrunner_private.insert_slots(p_ids uuid[], p_kinds text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  if exists (select from taskrunner_private.limit_shape s where s.kind = any(p_kinds)) then
    insert into taskrunner_private.slot (limit_id, task_id)
    select s.limit_id, s.task_id from taskrunner_private.task_slots(p_ids) s;
  end if;
end $$;
