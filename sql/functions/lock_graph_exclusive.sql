-- Locks for re-numbering: the graph lock, exclusive, and then the given tasks with everything below p_children, by rank,
-- again until it no longer grows. Returns p_children and what is below them.
-- While it waits, and while it holds the graph lock, everybody else who locks tasks waits too. So each wait is at most
-- 50 ms; then all of it is given back, the graph lock too, for a pause that grows from time to time; after six tries it
-- gives up. Whoever holds the graph lock shared must not wait for it, since two such would wait for each other: then it
-- is only tried. And since it is held to the end of the caller's transaction, a client that goes idle in it for more than
-- 5 s is disconnected.
-- Locks: advisory (1414681418, 1) exclusive; rows of task by rank. SQLSTATE: 40001. Called by: raise_ranks.
create or replace function taskrunner_private.lock_graph_exclusive(p_children uuid[], p_parents uuid[]) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_timeout text := current_setting('lock_timeout');
  v_shared boolean := exists (
    select from pg_locks
    where pid = pg_backend_pid() and locktype = 'advisory' and classid = 1414681418 and objid = 1
      and mode = 'ShareLock' and granted);
  v_below uuid[];
  v_set uuid[];
  v_locked uuid[] := '{}';
begin
  for v_try in 1 .. 6 loop
    begin
      perform set_config('lock_timeout', '50ms', true);
      if not v_shared then
        perform pg_advisory_xact_lock(1414681418, 1);
      elsif not pg_try_advisory_xact_lock(1414681418, 1) then
        raise exception using errcode = 'lock_not_available', message = 'the graph lock is held by others';
      end if;
      loop
        v_below := taskrunner_private.descendants(p_children);
        v_set := array(select unnest(v_below) union select unnest(p_parents));
        exit when v_set <@ v_locked;
        perform taskrunner_private.lock_tasks(v_set, true);
        v_locked := v_set;
      end loop;
      perform set_config('lock_timeout', v_timeout, true);
      if (select setting::bigint not between 1 and 5000 from pg_settings where name = 'idle_in_transaction_session_timeout')
      then
        perform set_config('idle_in_transaction_session_timeout', '5s', true);
      end if;
      return v_below;
    exception when lock_not_available then
      v_locked := '{}';  -- the subtransaction took the locks and lock_timeout back
    end;
    perform pg_sleep(0.02 * 2 ^ v_try * (0.5 + random() / 2));
  end loop;
  raise exception 'the order of this graph is being changed by others, repeat the transaction'
    using errcode = '40001';
end $$;
