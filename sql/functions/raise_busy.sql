-- The error of a lock step that may not wait. SQLSTATE: 40001, which the service and clients answer by repeating.
create or replace function taskrunner_private.raise_busy() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'a task of this graph is being changed by another transaction, repeat this one'
    using errcode = '40001';
end $$;
