-- The key of handle tokens, for the service alone (contract 3.2). Locks: none.
create or replace function taskrunner_private.handle_key() returns bytea
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select value from taskrunner_private.secret where name = 'handle';
$$;
