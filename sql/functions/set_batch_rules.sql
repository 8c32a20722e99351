-- Gives every task of a batch that has a kind and has not ended new rules, and returns how many there are (contract 4.10).
-- Locks, SQLSTATEs: as change_batch_rules.
create or replace function taskrunner.set_batch_rules(p_batch_id uuid, p_kind text, p_rules jsonb) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select taskrunner_private.change_batch_rules(p_batch_id, jsonb_build_object('kind', p_kind, 'rules', p_rules));
$$;
