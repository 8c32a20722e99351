-- The chore of dead ends (contract 6.3): examines tasks of which a child has ended, cancels those whose children all have,
-- and goes on upwards from these, except through a barrier. About p_limit checks and p_limit tasks; what is left keeps its
-- check. A child that is seen alive is enough to drop a check, because its own end leaves another. But not to drop one that was
-- made here: who ends that child may be looking at this very moment, and see alive what is canceled here. So of checks that
-- this transaction made those of living parents stay, for whoever looks after it. A task that somebody holds keeps its check as
-- well, for the next run, behind the others.
-- Upwards is against the order of locks, so it never waits for a task. Under its lock a dead end stays one: a new child
-- needs the lock of its parent.
-- Locks: rows of dead_end_check and of task, skip locked; rows of queued_task. SQLSTATE: TR009.
-- Writes task (status, failure_reason, ended_at, last_updated, paused_from), dead_end_check.
create or replace function taskrunner_private.drain_dead_ends(p_limit integer)
returns table (examined integer, canceled integer, counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_checks uuid[];
  v_own uuid[];
  v_dead uuid[];
  v_locked uuid[];
  v_busy uuid[] := '{}';
  v_kept uuid[] := '{}';
  v_examined integer := 0;
  v_canceled integer := 0;
begin
  perform taskrunner_private.require_read_committed();
  perform taskrunner_private.begin_counts();
  while v_examined < p_limit loop
    with taken as (
      delete from taskrunner_private.dead_end_check d
      where d.id = any(array(
        select c.id from taskrunner_private.dead_end_check c order by c.id limit p_limit for update skip locked))
      returning d.task_id, d.xmin = pg_current_xact_id()::xid as own
    )
    select array_agg(distinct task_id), coalesce(array_agg(distinct task_id) filter (where own), '{}'), v_examined + count(*)
    into v_checks, v_own, v_examined from taken;
    exit when v_checks is null;

    v_kept := v_kept || v_own;
    v_dead := taskrunner_private.are_dead_ends(v_checks);
    continue when v_dead = '{}';
    v_locked := array(select t.id from taskrunner.task t where t.id = any(v_dead) for no key update skip locked);
    v_busy := v_busy || array(select unnest(v_dead) except select unnest(v_locked));
    -- In a later statement, now that it cannot change.
    v_dead := taskrunner_private.are_dead_ends(v_locked);
    continue when v_dead = '{}';

    perform taskrunner_private.set_cause('dead_end');
    update taskrunner.task t
    set status = 'Canceled', failure_reason = 'All child tasks already terminated', ended_at = greatest(now(), t.started_at),
      last_updated = now(), paused_from = null
    where t.id = any(v_dead);
    v_canceled := v_canceled + cardinality(v_dead);
    perform taskrunner_private.record_dead_ends(
      array(select t.id from taskrunner.task t where t.id = any(v_dead) and not t.dead_end_barrier));
  end loop;
  perform taskrunner_private.set_cause('dead_end');
  insert into taskrunner_private.dead_end_check (task_id)
  select unnest(v_busy)
  union
  select t.id from taskrunner.task t where t.id = any(v_kept) and not taskrunner_private.is_terminal(t.status);
  perform taskrunner_private.set_cause('');
  return query select v_examined - cardinality(v_busy), v_canceled, taskrunner_private.take_counts();
end $$;
