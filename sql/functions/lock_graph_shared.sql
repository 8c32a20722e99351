-- The graph lock, shared, until the end of the transaction: ranks do not change while anybody holds it. Taken before
-- the first task row by every step that locks tasks by rank. p_wait false only tries (direct SQL, which holds rows
-- already) and returns whether it was got.
-- Locks: advisory (1414681418, 1) shared. Exclusive only in raise_ranks.
create or replace function taskrunner_private.lock_graph_shared(p_wait boolean) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not p_wait then
    return pg_try_advisory_xact_lock_shared(1414681418, 1);
  end if;
  perform pg_advisory_xact_lock_shared(1414681418, 1);
  return true;
end $$;
