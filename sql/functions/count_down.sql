-- Counts tasks that have ended down from their children that wait; who waits for nobody any more becomes Pending
-- (contract 6.1 rules 4 and 5). Joins are fixed to index look-ups, as in children_of; triggers take that back.
-- Locks: none waited for; the caller holds those of the children. Called by: triggers/task_500_propagate.sql under cause
-- propagate. Writes task (wait_finished, wait_success, status).
create or replace function taskrunner_private.count_down(p_ended uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_children record := taskrunner_private.children_of(p_ended);
begin
  if v_children.ids is null then
    return;
  end if;
  update taskrunner.task c
  set wait_finished = c.wait_finished - ended.parents,
    wait_success = c.wait_success - ended.required_parents,
    status = case when c.status = 'Waiting' and c.wait_finished = ended.parents then 'Pending' else c.status end
  from unnest(v_children.ids, v_children.parents, v_children.required_parents) as ended (child_id, parents, required_parents)
  where c.id = ended.child_id and taskrunner_private.is_waiting(c.status, c.paused_from);
end $$;
