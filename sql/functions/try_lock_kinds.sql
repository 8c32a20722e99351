-- Says for the rest of the transaction "a shape of these kinds does not begin to be counted now", and returns the kinds of
-- which that cannot be said. Whoever makes tasks active takes it before he looks for shapes: register_shape takes it
-- exclusively, and everything that started before is then there to be seen. A waiting register_shape keeps others out, so
-- nobody waits for it here.
-- Locks: advisory (1414681419, kind) shared, tried only. Called by: decide_candidates, admit_by_sql.
create or replace function taskrunner_private.try_lock_kinds(p_kinds text[]) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
begin                                                        -- not sql, which would be planned anew for each claim
  return (
    select coalesce(array_agg(k.kind), '{}')
    from (select distinct unnest(p_kinds) as kind) k
    where not pg_try_advisory_xact_lock_shared(1414681419, hashtext(k.kind) & 255));
end $$;
