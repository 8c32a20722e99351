-- Makes parked tasks ready where a limit has room: of all gates that wait for it the best tasks, as many as fit, as probes. The
-- claim decides about each of them again. A probe counts as if it had started already, until a claim has decided.
-- Afterwards, for each limit: a gate that waits for it and would pass has a probe, or a wake row stands. So no task is forgotten.
-- Where nothing could be taken, because bounds were found too good (best_parked) or somebody holds the rows, it is looked again,
-- further. Gates that were read are given the bounds they have now, where not all were. For limits of which somebody holds a row, and
-- where three looks were not enough, a wake row stands.
-- Returns how many became ready.
-- Locks: rows of queued_task, skip locked, without their tasks: the caller waits for nothing afterwards. He holds the stripes,
-- without which nobody writes the gates that wait for these limits. Writes queued_task, gate, wake.
-- Called by: claim_tasks, wake_limits, recheck_limits.
create or replace function taskrunner_private.unpark(p_limits bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_rooms record;
  v_best record;
  v_further integer;                                         -- how many gates and tasks to read beyond the room
  v_passing integer := 0;                                    -- how many held tasks to read over
  v_taken_of bigint[];
  v_held bigint[];
  v_wake bigint[] := '{}';
  v_unparked integer := 0;
begin
  v_rooms := taskrunner_private.limit_rooms(p_limits);
  foreach v_further in array array[16, 128, 1024] loop
    exit when v_rooms.limits is null;
    v_best := taskrunner_private.best_parked(v_rooms.limits, v_rooms.used, v_rooms.work, v_rooms.rooms, v_further, v_passing);
    v_taken_of := '{}';
    v_held := '{}';
    if v_best.ids <> '{}' then
      select t.taken_of, t.held into v_taken_of, v_held
      from taskrunner_private.take_parked(v_best.ids, v_best.limits, v_best.at_most, v_best.priorities, v_best.seqs) t;
    end if;
    if v_best.gates <> '{}' then
      perform taskrunner_private.mend_gates(v_best.gates);
    end if;
    v_unparked := v_unparked + cardinality(v_taken_of);
    v_wake := v_wake || v_held;
    select array_agg(l.id) as limits, array_agg(l.used) as used, array_agg(l.work) as work, array_agg(l.room) as rooms into v_rooms
    from unnest(v_rooms.limits, v_rooms.used, v_rooms.work, v_rooms.rooms) l (id, used, work, room)
    where l.id <> all(v_taken_of) and l.id = any(v_best.far || v_held);
    v_passing := v_further;
  end loop;
  v_wake := v_wake || v_rooms.limits;
  if v_wake <> '{}' then
    perform taskrunner_private.wake_later(v_wake);
  end if;
  return v_unparked;
end $$;
