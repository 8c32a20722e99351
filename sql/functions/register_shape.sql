-- The chore that begins to count a shape which a rule names for the first time: one shape, in a transaction of its own. Claims that
-- are in flight end first and later ones leave the kind out (try_lock_kinds); ends in flight end first as well, because the
-- active tasks are locked. So the slots that it gives to active tasks are complete, and none of them is left behind.
-- Meanwhile tasks of the kind do not start, so it waits at most 100 ms; then it lets go of everything, and the request's next try
-- is due after a pause, each time a longer one.
-- Returns null when nothing is due, else whether the shape is counted now.
-- Locks: a row of shape_request, skip locked; graph lock shared; advisory (1414681419, kind) exclusive; the kind's active tasks by
-- rank. SQLSTATE: TR009. Writes limit_shape, slot, shape_request.
create or replace function taskrunner_private.register_shape() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_request taskrunner_private.shape_request;
begin
  perform taskrunner_private.require_read_committed();
  select r.* into v_request
  from taskrunner_private.shape_request r
  where r.next_at <= clock_timestamp()
  order by r.id limit 1 for update skip locked;
  if v_request.id is null then
    return null;
  end if;
  begin
    perform taskrunner_private.lock_graph_shared(true);
    perform pg_advisory_xact_lock(1414681419, hashtext(v_request.kind) & 255);
    if not exists (
      select from taskrunner_private.limit_shape s where s.kind = v_request.kind and s.fields = v_request.fields)
    then
      perform taskrunner_private.lock_tasks(
        array(select a.task_id from taskrunner_private.active_task a where a.kind = v_request.kind), true);
      perform taskrunner_private.count_shape(v_request.kind, v_request.fields);
    end if;
  exception when lock_not_available then
    update taskrunner_private.shape_request r
    set tries = r.tries + 1, next_at = clock_timestamp() + least(0.05 * 2 ^ least(r.tries, 10), 5) * interval '1 second'
    where r.id = v_request.id;
    return false;
  end;
  delete from taskrunner_private.shape_request r where r.id = v_request.id;
  return true;
end $$;
