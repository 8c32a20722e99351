-- +goose NO TRANSACTION
-- +goose Up
-- Retention goes through what has ended in the order of its end, a chunk at a time. Very many may have ended in the same moment, so
-- the moment alone does not say where a chunk ended. Ends of tasks go on meanwhile; what was cut short is begun anew.
drop index concurrently if exists taskrunner_private.ended_task_end_idx;
create index concurrently ended_task_end_idx on taskrunner_private.ended_task (ended_at, seq);
drop index concurrently if exists taskrunner_private.ended_task_ended_idx;
-- Whose turn it is, and when: functions/begin_prune.sql.
insert into taskrunner_private.chore (name) values ('prune') on conflict do nothing;

-- +goose Down
delete from taskrunner_private.chore where name = 'prune';
create index concurrently if not exists ended_task_ended_idx on taskrunner_private.ended_task (ended_at);
drop index concurrently if exists taskrunner_private.ended_task_end_idx;
