-- Reports the same result of many tasks at once and returns those it changed; unknown ones and those in a state that
-- forbids it are skipped.
-- Locks: as report_tasks. SQLSTATEs: TR007 (status not Success or Failure), TR009, 40001.
create or replace function taskrunner.finish_tasks(
  p_task_ids uuid[], p_status taskrunner.status_kind, p_failure_reason text = null
) returns setof taskrunner.task
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_done uuid[];
begin
  perform taskrunner_private.require_result(p_status);
  select array_agg(answer.task_id) into v_done
  from taskrunner_private.report_tasks((
    select coalesce(jsonb_agg(jsonb_build_object('task_id', u.id, 'status', p_status,
      'failure_reason', taskrunner_private.given_reason(p_status, p_failure_reason))), '[]')
    from (select distinct id from unnest(p_task_ids) as x (id) where id is not null) u)) answer
  where answer.outcome = 'done';
  return query select t.* from taskrunner.task t where t.id = any(v_done) order by t.seq;
end $$;
