-- Takes an Idempotency-Key for the transaction that is about to create p_batch_id, or says who has it (contract 4.1).
-- A request that uses the same key at this moment is waited for: after its rollback the key is free. So is one older than
-- p_life_secs, whether or not the chore has removed it.
-- Returns one row: taken, and else what the key stands for.
-- Locks: the key's row, the leftmost of the lock protocol: the caller holds nothing yet. Writes idempotency_key.
create or replace function taskrunner_private.take_idempotency_key(
  p_token_name text, p_key text, p_body_hash bytea, p_batch_id uuid, p_life_secs integer
) returns table (taken boolean, batch_id uuid, status smallint, body_hash bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_held taskrunner_private.idempotency_key;
begin
  loop
    insert into taskrunner_private.idempotency_key (token_name, key, batch_id, body_hash)
    values (p_token_name, p_key, p_batch_id, p_body_hash)
    on conflict do nothing;                                  -- waits for who inserts the same
    exit when found;
    select * into v_held from taskrunner_private.idempotency_key k
    where k.token_name = p_token_name and k.key = p_key;
    if v_held.created_at + make_interval(secs => p_life_secs) > clock_timestamp() then
      return query select false, v_held.batch_id, v_held.status, v_held.body_hash;
      return;
    end if;
    -- Expired, or removed since. Of several who find it so, one gets it; the others look again.
    update taskrunner_private.idempotency_key k
    set created_at = now(), batch_id = p_batch_id, body_hash = p_body_hash, status = default
    where k.token_name = p_token_name and k.key = p_key and k.created_at = v_held.created_at;
    exit when found;
  end loop;
  return query select true, p_batch_id, 201::smallint, p_body_hash;
end $$;
