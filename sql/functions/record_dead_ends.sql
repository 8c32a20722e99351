-- Notes the parents of tasks that have failed or were canceled for drain_dead_ends, where the parent's batch, or for those that do not say the
-- server's default, wants dead ends canceled (contract 6.3). Where nobody wants it that is one look into an empty index.
-- A parent that ends at the same moment is noted in vain. Locks: none waited for. Writes dead_end_check.
-- Called by: triggers/task_500_propagate.sql, drain_dead_ends.
create or replace function taskrunner_private.record_dead_ends(p_ended uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_default boolean := (select s.dead_end_cancel from taskrunner_private.server_setting s);
begin
  if not v_default and not exists (select from taskrunner.batch b where b.dead_end_cancel) then
    return;
  end if;
  insert into taskrunner_private.dead_end_check (task_id)
  select parent.id
  from (
    select distinct l.parent_id
    from unnest(p_ended) as ended (id)
    cross join lateral (select link.parent_id from taskrunner.link where link.child_id = ended.id offset 0) l
  ) l
  cross join lateral (
    select t.id, t.batch_id from taskrunner.task t
    where t.id = l.parent_id and not taskrunner_private.is_terminal(t.status)
    offset 0) parent
  where coalesce((select b.dead_end_cancel from taskrunner.batch b where b.id = parent.batch_id), v_default);
end $$;
