-- Notes that the request with this Idempotency-Key created nothing, so that a repeat gets the same 204.
-- Locks: the key's row, which this transaction holds. Writes idempotency_key.status.
create or replace function taskrunner_private.note_nothing_created(p_token_name text, p_key text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update taskrunner_private.idempotency_key k
  set status = 204
  where k.token_name = p_token_name and k.key = p_key;
$$;
