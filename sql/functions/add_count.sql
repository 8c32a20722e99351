-- Adds something else than a status change to the counts of this transaction: a line ["","what","",n]. blocked: tasks that a rule
-- kept from being claimed; delivered: tasks that ran without a call of on_start, which had been delivered; linked: tasks that
-- were created with dependencies.
-- Locks: none. Called by: submit, claim_tasks, decide_candidates.
create or replace function taskrunner_private.add_count(p_what text, p_n bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_counts text := coalesce(current_setting('taskrunner.counts', true), '');
begin
  if v_counts <> '' and p_n > 0 then
    perform set_config('taskrunner.counts', v_counts || jsonb_build_array('', p_what, '', p_n)::text || E'\n', true);
  end if;
end $$;
