-- Begins to count the shapes that tasks need, for whoever claims by SQL: he may be the only one at work, with no replica to run
-- register_shape, or have written the rule in this very transaction. Until he commits nobody else starts tasks of these kinds.
-- Returns false if that cannot be done without waiting: somebody starts, ends or registers something of the kind right now.
-- Locks: advisory (1414681419, kind) exclusive, and the kind's active tasks, both only tried. Writes limit_shape, slot.
-- Called by: admit_by_sql.
create or replace function taskrunner_private.count_shapes_now(p_ids uuid[]) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_kind text;
  v_fields text[];
  v_active uuid[];
begin
  for v_kind, v_fields in
    select distinct n.kind, n.fields from taskrunner_private.rule_needs(p_ids) n where n.shape_id is null
  loop
    if not pg_try_advisory_xact_lock(1414681419, hashtext(v_kind) & 255) then
      return false;
    end if;
    v_active := array(select a.task_id from taskrunner_private.active_task a where a.kind = v_kind);
    if not taskrunner_private.lock_tasks(v_active, false) then
      return false;
    end if;
    -- Again, in a later statement, now that nobody else begins to count it.
    if not exists (select from taskrunner_private.limit_shape s where s.kind = v_kind and s.fields = v_fields) then
      perform taskrunner_private.count_shape(v_kind, v_fields);
    end if;
  end loop;
  return true;
end $$;
