-- The pulse of a replica, once a second: writes its heartbeat and whether its chores sleep, and says what there
-- is to do: which chores are due, when the next one will be, whether tasks are ready and deliveries due. So one
-- statement a second is all that an idle replica costs. A chore that is handed out is not handed out again for 200 ms; tasks
-- that are to start, for 20 ms; what nobody waits for, for a minute. next_due_at knows that.
-- The stamps of other loops are not its business: fall_asleep, wake_limits.
-- p_held_hosts: [{"host", "opens_at", "error"}], the webhook hosts that get no further on_start now (held_hosts).
-- Locks: rows of chore by name, skip locked; the replica's row. Writes replica, chore.
create or replace function taskrunner_private.tick(
  p_replica uuid, p_name text, p_version text, p_free_slots integer,
  p_idle_chores boolean, p_held_hosts jsonb default '[]'
) returns table (due_chores text[], next_due_at timestamptz, ready boolean, deliveries boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_active timestamptz;
  v_scheduled timestamptz;
  v_shape timestamptz;
  v_due text[];
  v_next timestamptz;
begin
  select min(a.due_at) into v_active from taskrunner_private.active_task a where a.due_at < 'infinity';
  select min(q.run_at) into v_scheduled from taskrunner_private.queued_task q where q.state = 'scheduled';
  select min(r.next_at) into v_shape from taskrunner_private.shape_request r;
  with handed_out as (
    update taskrunner_private.chore c
    set next_at = v_now + case c.name when 'delete_idempotency_keys' then interval '1 minute'
      when 'release_scheduled' then interval '20 milliseconds'
      when 'drain_dead_ends' then interval '20 milliseconds'
      when 'wake_limits' then interval '20 milliseconds'
      when 'register_shapes' then interval '20 milliseconds'
      when 'recheck_limits' then interval '900 milliseconds'
      when 'drop_shapes' then interval '10 seconds'
      else interval '200 milliseconds' end
    where c.name in (
      select due.name from taskrunner_private.chore due
      where due.next_at <= v_now and case due.name
        when 'sweep_active' then v_active <= v_now
        when 'release_scheduled' then v_scheduled <= v_now
        when 'sweep_replicas' then exists (
          select from taskrunner_private.replica r where r.heartbeat_at < v_now - interval '5 seconds' and r.id <> p_replica)
        when 'drain_dead_ends' then exists (select from taskrunner_private.dead_end_check)
        when 'wake_limits' then exists (select from taskrunner_private.wake)
        when 'register_shapes' then v_shape <= v_now
        when 'drop_shapes' then exists (
          select from taskrunner_private.limit_shape s where s.used_at < v_now - interval '1 hour')
        when 'recheck_limits' then exists (select from taskrunner_private.gate)
        when 'delete_idempotency_keys' then exists (select from taskrunner_private.idempotency_key)
        end
      order by due.name
      for update skip locked)
    returning c.name
  )
  select coalesce(array_agg(h.name order by h.name), '{}') into v_due from handed_out h;

  select min(greatest(due.at, c.next_at)) into v_next
  from (values ('sweep_active', v_active), ('release_scheduled', v_scheduled), ('register_shapes', v_shape)) due (name, at)
  join taskrunner_private.chore c on c.name = due.name
  where due.at is not null;
  insert into taskrunner_private.replica as r
    (id, name, version, heartbeat_at, next_pulse_at, free_slots, idle_wake_at, idle_chores_at, held_hosts)
  values (p_replica, p_name, p_version, v_now, least(v_next, v_now + interval '1 second'), p_free_slots,
    v_now, case when p_idle_chores then v_now end, p_held_hosts)
  on conflict (id) do update
  set heartbeat_at = excluded.heartbeat_at, next_pulse_at = excluded.next_pulse_at, free_slots = excluded.free_slots,
    idle_chores_at = excluded.idle_chores_at, held_hosts = excluded.held_hosts;

  return query select v_due, v_next,
    exists (select from taskrunner_private.queued_task q where q.state = 'ready' and not q.has_rules)
      or exists (select from taskrunner_private.queued_task q where q.state = 'ready' and q.has_rules),
    exists (
      select from taskrunner_private.due_delivery d
      where d.next_try_at <= v_now and (d.leased_until is null or d.leased_until < v_now));
end $$;
