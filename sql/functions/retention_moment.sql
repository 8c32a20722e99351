-- What ended before this moment is older than p_days. SQLSTATE: TR007. Locks: none. Called by: prune, prune_preview.
create or replace function taskrunner_private.retention_moment(p_days integer) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if (p_days between 0 and 36500) is not true then
    raise exception 'p_days: must be from 0 to 36500' using errcode = 'TR007';
  end if;
  return clock_timestamp() - make_interval(hours => 24 * p_days);
end $$;
