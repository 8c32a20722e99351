-- Who may do what (contract 13.4). Everything is taken from PUBLIC and from the roles first, then granted anew, so
-- that the result depends on this file alone. A role that does not exist is left out; access is applied again when
-- one appears.
do $$
declare
  v_role text;
  v_roles text[] := array(
    select rolname::text from pg_catalog.pg_roles
    where rolname in ('taskrunner_reader', 'taskrunner_producer', 'taskrunner_worker', 'taskrunner_admin',
      'taskrunner_service'));
  v_from text;
  v_grant text[];
  v_grants text[] := array[
    -- role names, what
    'reader producer worker admin service|usage on schema taskrunner',
    'reader producer worker admin service|select on taskrunner.batch, taskrunner.task, taskrunner.link,
      taskrunner.delivery, taskrunner.action_masked',
    'reader producer worker admin service|execute on function taskrunner.why(uuid)',

    'producer admin|insert (id, name, metadata, dead_end_cancel) on taskrunner.batch',
    'producer admin|insert (id, batch_id, name, kind, status, timeout, priority, metadata, rules, expected_count,
      dead_end_barrier, max_attempts, retry_initial_delay_secs, retry_multiplier, retry_max_delay_secs, run_at)
      on taskrunner.task',
    'producer admin|insert on taskrunner.link',
    'producer admin|insert (id, task_id, kind, trigger, condition, params, position) on taskrunner.action',
    'producer admin|update (priority, metadata, rules, expected_count, timeout) on taskrunner.task',
    'producer admin|execute on function taskrunner.uuidv7(), taskrunner.submit_batch(jsonb),
      taskrunner.cancel_task(uuid), taskrunner.cancel_tasks(uuid[]), taskrunner.pause_task(uuid),
      taskrunner.resume_task(uuid), taskrunner.stop_batch(uuid), taskrunner.set_batch_rules(uuid, text, jsonb)',

    'worker admin|update (status, failure_reason, success, failures, metadata, expected_count) on taskrunner.task',
    'worker admin|execute on function
      taskrunner.finish_task(uuid, taskrunner.status_kind, text, integer),
      taskrunner.finish_tasks(uuid[], taskrunner.status_kind, text),
      taskrunner.add_progress(uuid, bigint, bigint, integer)',

    'producer worker admin|execute on function taskrunner_private.is_progress(), taskrunner_private.is_engine()',

    'admin|select on taskrunner.action',
    'admin|update (run_at, last_updated) on taskrunner.task',
    'admin|delete on taskrunner.task, taskrunner.batch',
    'admin|execute on function taskrunner.check_invariants()',

    'service|usage on schema taskrunner_private',
    'service|select on all tables in schema taskrunner_private',
    'service|execute on function
      taskrunner.cancel_task(uuid), taskrunner.pause_task(uuid), taskrunner.resume_task(uuid),
      taskrunner.stop_batch(uuid),
      taskrunner_private.change_batch_rules(uuid, jsonb),
      taskrunner_private.submit(uuid, jsonb), taskrunner_private.valid_graph(jsonb, jsonb),
      taskrunner_private.take_idempotency_key(text, text, bytea, uuid, integer),
      taskrunner_private.note_nothing_created(text, text),
      taskrunner_private.delete_idempotency_keys(integer, integer),
      taskrunner_private.claim_tasks(uuid, integer, integer, integer[], bigint[], boolean, text[], integer[], integer, boolean, text),
      taskrunner_private.start_tasks(jsonb), taskrunner_private.fail_starts(uuid, jsonb, integer),
      taskrunner_private.report_tasks(jsonb), taskrunner_private.progress_tasks(uuid[], integer[], bigint[], bigint[]),
      taskrunner_private.progress_task(uuid, integer, bigint, bigint),
      taskrunner_private.claim_deliveries(uuid, integer, integer, timestamptz, boolean, text[], integer[], integer, boolean, text),
      taskrunner_private.settle_deliveries(jsonb, double precision, double precision, double precision),
      taskrunner_private.list_deliveries(taskrunner.delivery_status, taskrunner.trigger_kind, uuid, uuid, text, timestamptz,
        timestamptz, timestamptz, uuid, bigint, integer),
      taskrunner_private.replay_delivery(uuid),
      taskrunner_private.replay_deliveries(taskrunner.delivery_status, taskrunner.trigger_kind, uuid, uuid, text, timestamptz,
        timestamptz, timestamptz, uuid, integer),
      taskrunner_private.tick(uuid, text, text, integer, boolean, jsonb), taskrunner_private.count_parked(),
      taskrunner_private.read_gauges(), taskrunner_private.parked_limits(),
      taskrunner_private.fall_asleep(uuid, text, xid8), taskrunner_private.stay_awake(uuid, text), taskrunner_private.leave(uuid),
      taskrunner_private.give_back_claims(uuid, uuid[]),
      taskrunner_private.give_back_deliveries(uuid, uuid[]),
      taskrunner_private.sweep_active(integer, integer), taskrunner_private.sweep_replicas(integer, integer),
      taskrunner_private.release_scheduled(integer), taskrunner_private.drain_dead_ends(integer),
      taskrunner_private.register_shape(), taskrunner_private.drop_shape(), taskrunner_private.wake_limits(integer, uuid, integer),
      taskrunner_private.recheck_limits(boolean), taskrunner_private.delete_gates(integer),
      taskrunner_private.begin_prune(integer), taskrunner_private.prune(integer, integer, jsonb),
      taskrunner_private.prune_preview(integer),
      taskrunner_private.blocked_by(uuid),
      taskrunner_private.begin_counts(), taskrunner_private.take_counts(),
      taskrunner_private.list_tasks(taskrunner.status_kind, uuid, text, text, integer, jsonb, timestamptz, bigint, bigint,
        integer),
      taskrunner_private.list_batches(taskrunner.status_kind, text, text, timestamptz, timestamptz, timestamptz, bigint,
        bigint, integer),
      taskrunner_private.watch_batch(uuid, uuid), taskrunner_private.unwatch_batch(uuid, uuid),
      taskrunner_private.handle_key(), taskrunner_private.save_settings(boolean, integer, integer)'
  ];
begin
  foreach v_from in array array['public'] || v_roles loop
    execute format('revoke all on schema taskrunner, taskrunner_private from %s', v_from);
    execute format('revoke all on all tables in schema taskrunner, taskrunner_private from %s', v_from);
    execute format('revoke all on all sequences in schema taskrunner, taskrunner_private from %s', v_from);
    execute format('revoke all on all functions in schema taskrunner, taskrunner_private from %s', v_from);
  end loop;

  foreach v_from in array v_grants loop
    v_grant := string_to_array(v_from, '|');
    foreach v_role in array string_to_array(v_grant[1], ' ') loop
      v_role := 'taskrunner_' || v_role;
      if v_role = any(v_roles) then
        execute format('grant %s to %I', v_grant[2], v_role);
      end if;
    end loop;
  end loop;
  if 'taskrunner_service' = any(v_roles) then
    revoke all on taskrunner_private.secret from taskrunner_service;
  end if;
end $$;
