-- How many parked tasks each of these limits could start: those that have gates and room, with what they hold already. A probe counts as
-- if it had started, until a claim has decided. By the first gate that passes; where others would let pass more, these have their turn
-- afterwards. A Capacity rule lets one pass at a time, because its size is not known before.
-- used: slots and probes. work: what the slots' tasks have left to do, null where no gate asks. Of all four arrays the n-th belong
-- together; null: there is no such limit.
-- Locks: none. Called by: unpark.
create or replace function taskrunner_private.limit_rooms(
  p_limits bigint[], out limits bigint[], out used bigint[], out work numeric[], out rooms bigint[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_most constant integer := 300;                            -- probes of a limit at once: a claim decides about no more
begin
  select array_agg(l.id), array_agg(l.used), array_agg(l.work), array_agg(l.room) into limits, used, work, rooms
  from (
    select c.id, c.slots + c.probes as used, c.work, r.room
    from (select distinct unnest(p_limits) as id) given
    cross join lateral (
      select given.id,
        (select count(*) from taskrunner_private.slot s where s.limit_id = given.id) as slots,
        (select count(*) from taskrunner_private.queued_task q where q.limit_id = given.id) as probes,
        case when exists (select from taskrunner_private.gate g where g.blocked_by = given.id and g.is_capacity) then (
          select coalesce(sum(w.work), 0) from taskrunner_private.slot s
          cross join lateral (
            select taskrunner_private.work_left(t.expected_count, t.success, t.failures) as work
            from taskrunner.task t where t.id = s.task_id offset 0) w
          where s.limit_id = given.id) end as work
      where exists (select from taskrunner_private.gate g where g.blocked_by = given.id)
      offset 0) c
    cross join lateral (
      select coalesce((
          select least(g.maximum - c.slots - c.probes, c_most) from taskrunner_private.gate g
          where g.blocked_by = c.id and not g.is_capacity and g.maximum > c.slots + c.probes
          order by g.best_priority desc, g.best_seq limit 1),
        case when c.probes = 0 and c.work is not null then 1 end) as room
      offset 0) r
    where r.room is not null
  ) l;
end $$;
