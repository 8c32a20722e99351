-- The chore of expired Idempotency-Keys. One bounded chunk; returns how many it removed. A key that somebody takes anew
-- at this moment is left alone.
-- Locks: rows of idempotency_key, skip locked. Writes idempotency_key.
create or replace function taskrunner_private.delete_idempotency_keys(p_limit integer, p_life_secs integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_before timestamptz := clock_timestamp() - make_interval(secs => p_life_secs);
  v_deleted integer;
begin
  delete from taskrunner_private.idempotency_key k
  using (
    select e.token_name, e.key from taskrunner_private.idempotency_key e
    where e.created_at <= v_before
    order by e.created_at
    limit p_limit
    for update skip locked) expired
  where k.token_name = expired.token_name and k.key = expired.key;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end $$;
