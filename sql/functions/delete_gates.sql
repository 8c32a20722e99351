-- Forgets gates at which nobody waits. One bounded chunk.
-- Locks: rows of limit_lock, skip locked. Writes gate. Called by: recheck_limits' chore.
create or replace function taskrunner_private.delete_gates(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_gates bigint[];
  v_limits bigint[];
  v_missing integer[];
  v_deleted integer;
begin
  select array_agg(g.id) into v_gates
  from (
    select x.id from taskrunner_private.gate x
    where not exists (select from taskrunner_private.queued_task q where q.gate_id = x.id)
    limit p_limit) g;
  if v_gates is null then
    return 0;
  end if;
  v_limits := array(
    select distinct l from taskrunner_private.gate g cross join lateral unnest(g.limit_ids) l where g.id = any(v_gates));
  v_missing := taskrunner_private.lock_stripes(v_limits, 0);
  -- In a later statement: whoever parks at a gate holds the stripes of its limits.
  delete from taskrunner_private.gate g
  where g.id = any(v_gates)
    and not exists (select from unnest(g.limit_ids) l where (l & 16383)::integer = any(v_missing))
    and not exists (select from taskrunner_private.queued_task q where q.gate_id = g.id);
  get diagnostics v_deleted = row_count;
  return v_deleted;
end $$;
