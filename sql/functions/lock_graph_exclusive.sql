-- The graph lock, exclusive: for re-numbering only. A waiting exclusive lock keeps everybody else out, so it waits at
-- most 50 ms at a time, pauses longer from time to time, and gives up after six tries.
-- Whoever holds it shared must not wait for it: two such would wait for each other.
-- Locks: advisory (1414681418, 1) exclusive. SQLSTATE: 40001.
create or replace function taskrunner_private.lock_graph_exclusive() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_timeout text := current_setting('lock_timeout');
begin
  if exists (
    select from pg_locks
    where pid = pg_backend_pid() and locktype = 'advisory' and classid = 1414681418 and objid = 1
      and mode = 'ShareLock' and granted
  ) and not exists (
    select from pg_locks
    where pid = pg_backend_pid() and locktype = 'advisory' and classid = 1414681418 and objid = 1
      and mode = 'ExclusiveLock' and granted
  ) then
    -- Without waiting, two that hold it shared cannot wait for each other; who is alone gets it at once.
    if pg_try_advisory_xact_lock(1414681418, 1) then
      return;
    end if;
    raise exception 'links of this graph need a new order, which this transaction cannot wait for; repeat it'
      using errcode = '40001';
  end if;

  for v_try in 1 .. 6 loop
    begin
      perform set_config('lock_timeout', '50ms', true);
      perform pg_advisory_xact_lock(1414681418, 1);
      perform set_config('lock_timeout', v_timeout, true);
      return;
    exception when lock_not_available then
      null;  -- the subtransaction took lock_timeout back
    end;
    perform pg_sleep(0.02 * 2 ^ v_try * (0.5 + random() / 2));
  end loop;
  raise exception 'the order of this graph is being changed by others, repeat the transaction'
    using errcode = '40001';
end $$;
