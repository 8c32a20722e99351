-- Refuses every isolation level but READ COMMITTED: with a fixed snapshot a statement would not see what committed
-- while it waited for a lock, and could miss the end of a parent.
-- Locks: none. SQLSTATE: TR009.
create or replace function taskrunner_private.require_read_committed() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'status changes and links need transaction isolation read committed, not %',
      current_setting('transaction_isolation') using errcode = 'TR009';
  end if;
end $$;
