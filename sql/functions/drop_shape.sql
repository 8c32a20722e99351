-- The chore that ceases to count a shape: one by which no rules were decided for an hour and which no gate names, in a transaction
-- of its own. Whoever needs it again asks for it (admit), so a task that names it and waits for something else loses nothing. A
-- task that waits at a gate has to find the limits it waits for, so that shape stays; it is looked at again after an hour.
-- As in register_shape the kind's claims are kept out and its active tasks are locked, for at most 100 ms each; and nobody may be
-- deciding by the shape for tasks of another kind: that lock is only tried, because whoever decides waits for it (admit).
-- In vain, it is tried again after a minute. Returns null when nothing is due, else whether a shape is gone.
-- Locks: a row of limit_shape, skip locked; graph lock shared; advisory (1414681419, kind) exclusive; the kind's active tasks by
-- rank; advisory (1414681418, 4) exclusive, tried. SQLSTATE: TR009. Writes limit_shape, slot.
create or replace function taskrunner_private.drop_shape() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_shape taskrunner_private.limit_shape;
begin
  perform taskrunner_private.require_read_committed();
  select s.* into v_shape
  from taskrunner_private.limit_shape s
  where s.used_at < clock_timestamp() - interval '1 hour'
  order by s.used_at limit 1 for update skip locked;
  if v_shape.id is null then
    return null;
  end if;
  if exists (select from taskrunner_private.gate g where v_shape.id = any(g.shape_ids)) then
    update taskrunner_private.limit_shape s set used_at = clock_timestamp() where s.id = v_shape.id;
    return false;
  end if;
  begin
    perform taskrunner_private.lock_graph_shared(true);
    perform pg_advisory_xact_lock(1414681419, hashtext(v_shape.kind) & 255);
    perform taskrunner_private.lock_tasks(
      array(select a.task_id from taskrunner_private.active_task a where a.kind = v_shape.kind), true);
    if not pg_try_advisory_xact_lock(1414681418, 4) then
      raise lock_not_available;
    end if;
  exception when lock_not_available then
    update taskrunner_private.limit_shape s set used_at = clock_timestamp() - interval '59 minutes' where s.id = v_shape.id;
    return false;
  end;
  -- Again, in a later statement, now that nobody decides.
  if exists (select from taskrunner_private.gate g where v_shape.id = any(g.shape_ids)) then
    update taskrunner_private.limit_shape s set used_at = clock_timestamp() where s.id = v_shape.id;
    return false;
  end if;
  delete from taskrunner_private.slot s
  using (
    select t.id, taskrunner_private.limit_id(v_shape.id, v_shape.fields, t.metadata) as limit_id
    from taskrunner_private.active_task a
    cross join lateral (select x.id, x.metadata from taskrunner.task x where x.id = a.task_id offset 0) t
    where a.kind = v_shape.kind
  ) held
  where s.task_id = held.id and s.limit_id = held.limit_id;
  delete from taskrunner_private.limit_shape s where s.id = v_shape.id;
  return true;
end $$;
