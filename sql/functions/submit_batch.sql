-- Creates a graph by SQL: the same JSON as POST /task, both forms. One row per entry in request order;
-- one that is left out shows its match.
-- Locks, SQLSTATEs: as submit.
create or replace function taskrunner.submit_batch(p_body jsonb) returns table (
  local_id text, task_id uuid, batch_id uuid, status taskrunner.status_kind, deduplicated boolean
)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_batch_id uuid := taskrunner.uuidv7();
  v_created record;
begin
  select * into v_created from taskrunner_private.submit(v_batch_id, p_body);
  return query
  select e.local_id, e.task_id, t.batch_id, t.status,
    t.batch_id is distinct from v_batch_id or row_number() over (partition by e.task_id order by e.n) > 1
  from unnest(v_created.local_ids, v_created.task_ids) with ordinality as e (local_id, task_id, n)
  join taskrunner.task t on t.id = e.task_id
  order by e.n;
end $$;
