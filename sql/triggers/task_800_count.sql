-- Counts status changes and retries for the metrics of the replica that called (functions/begin_counts.sql); one JSON array per
-- line: ["from","to","kind",n,"cause",retried,[seconds]]. The seconds are those from creation to a claim, and from start to end.
-- Off in every other transaction. Why a full join: task_500_propagate.sql.
-- Before that it tells replicas at which people look at these batches. The table is empty unless somebody looks. Of changes with a
-- fixed snapshot they are not told: they look by themselves, and to lock what somebody else has taken away would be an error there.
-- Locks: rows of watch, skip locked. Writes watch (notify_watchers).
create or replace function taskrunner_private.task_count() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_hashjoin = on set enable_mergejoin = on set jit = off as $$
declare
  v_counts text := coalesce(current_setting('taskrunner.counts', true), '');
begin
  if exists (select from taskrunner_private.watch) and current_setting('transaction_isolation') = 'read committed' then
    perform taskrunner_private.notify_watchers(array(select distinct n.batch_id from new_rows n where n.batch_id is not null));
  end if;
  if v_counts = '' then
    return null;
  end if;
  select v_counts || string_agg(jsonb_build_array(
    c.old_status, c.new_status, c.kind, c.n, current_setting('taskrunner.cause', true), c.retried, c.seconds)::text || E'\n', '')
  into v_counts
  from (
    select o.status as old_status, n.status as new_status, n.kind, n.attempt > o.attempt as retried, count(*) as n,
      coalesce(array_agg(s.secs) filter (where s.secs is not null), '{}') as seconds
    from new_rows n
    full join old_rows o on o.id = n.id
    cross join lateral (select round(extract(epoch from
      case when n.status = 'Claimed' and o.status = 'Pending' then clock_timestamp() - n.created_at
        when taskrunner_private.is_terminal(n.status) then n.ended_at - n.started_at end), 3) as secs) s
    where n.status is distinct from o.status or n.attempt > o.attempt
    group by o.status, n.status, n.kind, n.attempt > o.attempt
  ) c;
  if v_counts is not null then
    perform set_config('taskrunner.counts', v_counts, true);
  end if;
  return null;
end $$;

create or replace trigger task_800_count after update on taskrunner.task
referencing new table as new_rows old table as old_rows
for each statement when (not taskrunner_private.is_progress())
execute function taskrunner_private.task_count();
