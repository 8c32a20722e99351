-- The p_from of whole_batch_tasks that goes on behind a task of a whole batch.
-- Locks: none. Called by: whole_batch_tasks, prune.
create or replace function taskrunner_private.place_in_batch(p_task_id uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  return (
    select jsonb_build_object('batch_at', b.created_at, 'batch_seq', b.seq, 'task_at', t.created_at, 'task_seq', t.seq)
    from taskrunner.task t
    cross join lateral (select x.created_at, x.seq from taskrunner.batch x where x.id = t.batch_id offset 0) b
    where t.id = p_task_id);
end $$;
