-- +goose Up
-- PostgreSQL reads and compiles every CHECK of a table anew for each statement that writes it: those of task took 40 % of
-- the processor time of a report of progress. Those of columns that the engine does not change go: the guards of task and
-- valid_graph judge them where they are set, and check_invariants watches. The others, which judge what the engine computes, are
-- said in fewer words; they count on the order of status_kind: Waiting, Pending, Claimed, Running, then the others.
-- The conditions of triggers cost as much, so that of an isolation trigger goes too: task_500_propagate looks itself.
alter table taskrunner.task
  drop constraint task_name_check,
  drop constraint task_kind_check,
  drop constraint task_timeout_check,
  drop constraint task_retry_check,
  drop constraint task_priority_check,
  drop constraint task_expected_count_check,
  drop constraint task_rules_check,
  drop constraint task_attempt_check,
  drop constraint task_counters_check,
  drop constraint task_waiting_check,
  drop constraint task_started_at_check,
  drop constraint task_paused_from_check,
  add constraint task_waiting_check check (status > 'Running' or (status = 'Waiting') = (wait_finished > 0)),
  add constraint task_started_at_check check (status > 'Running' or (status = 'Running') = (started_at is not null)),
  add constraint task_paused_from_check check (
    (status = 'Paused') = (paused_from is not null) and (paused_from <= 'Running') is not false);
drop trigger if exists task_450_isolation on taskrunner.task;
drop function if exists taskrunner_private.task_isolation;

-- +goose Down
alter table taskrunner.task
  drop constraint task_waiting_check,
  drop constraint task_started_at_check,
  drop constraint task_paused_from_check,
  add constraint task_name_check check (char_length(name) between 1 and 255),
  add constraint task_kind_check check (char_length(kind) between 1 and 100),
  add constraint task_timeout_check check (timeout between 1 and 86400),
  add constraint task_priority_check check (priority between -1000 and 1000),
  add constraint task_expected_count_check check (expected_count >= 0),
  add constraint task_rules_check check (jsonb_typeof(rules) = 'array'),
  add constraint task_counters_check check (success >= 0 and failures >= 0),
  add constraint task_attempt_check check (attempt between 1 and max_attempts and max_attempts <= 100),
  add constraint task_retry_check check (
    retry_initial_delay_secs between 0 and 86400 and retry_multiplier between 1 and 100
    and retry_max_delay_secs between retry_initial_delay_secs and 86400),
  add constraint task_waiting_check check (
    case status when 'Waiting' then wait_finished > 0
                when 'Pending' then wait_finished = 0
                when 'Claimed' then wait_finished = 0
                when 'Running' then wait_finished = 0
                else true end),
  add constraint task_started_at_check check (
    case status when 'Running' then started_at is not null
                when 'Waiting' then started_at is null
                when 'Pending' then started_at is null
                when 'Claimed' then started_at is null
                else true end),
  add constraint task_paused_from_check check (
    case when status = 'Paused' then coalesce(paused_from in ('Waiting', 'Pending', 'Claimed', 'Running'), false)
         else paused_from is null end);
