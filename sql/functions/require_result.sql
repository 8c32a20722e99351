-- A result is Success or Failure. Locks: none. SQLSTATE: TR007.
create or replace function taskrunner_private.require_result(p_status taskrunner.status_kind) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if p_status is null or p_status not in ('Success', 'Failure') then
    raise exception 'p_status: must be Success or Failure, not %', coalesce(p_status::text, 'null')
      using errcode = 'TR007', detail = jsonb_build_array('status: must be Success or Failure')::text;
  end if;
end $$;
