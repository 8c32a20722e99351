-- How many of p_ids, from the first on, have at most p_most links together; one in any case. Links go with their tasks, and a few tasks
-- can have very many of them.
-- Locks: none. Called by: prune.
create or replace function taskrunner_private.tasks_within_links(p_ids uuid[], p_most integer) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
declare
  v_links bigint := 0;
  v_id uuid;
begin
  for n in 1 .. cardinality(p_ids) loop
    v_id := p_ids[n];
    v_links := v_links + (
      select count(*) from (
        select from taskrunner.link l where l.parent_id = v_id
        union all
        select from taskrunner.link l where l.child_id = v_id
        limit p_most + 1) l);
    if v_links > p_most and n > 1 then
      return n - 1;
    end if;
  end loop;
  return cardinality(p_ids);
end $$;
