-- The moment that an RFC 3339 timestamp names, cut to microseconds; null when the text is none, or when the year is not
-- between 1 and 9999 in UTC, so that every answer can show it. A leap second is the first one of the next minute.
create or replace function taskrunner_private.to_moment(p_text text) returns timestamptz
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_part text[] := regexp_match(p_text,
    '^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$');
  v_month date;
  v_moment timestamptz;
begin
  if v_part is null or v_part[1] = '0000' or v_part[2] not between '01' and '12' or v_part[3] = '00'
    or v_part[4] > '23' or v_part[5] > '59' or v_part[6] > '60' or v_part[9] > '23' or v_part[10] > '59'
  then
    return null;
  end if;
  v_month := make_date(v_part[1]::integer, v_part[2]::integer, 1);
  if v_part[3]::integer > extract(day from v_month + interval '1 month' - interval '1 day') then
    return null;
  end if;
  v_moment := (v_month + (v_part[3]::integer - 1)
    + make_interval(hours => v_part[4]::integer, mins => v_part[5]::integer,
        secs => (v_part[6] || coalesce(left(v_part[7], 7), ''))::double precision)
    + case when v_part[8] = '-' then 1 else -1 end
      * make_interval(hours => coalesce(v_part[9]::integer, 0), mins => coalesce(v_part[10]::integer, 0))) at time zone 'UTC';
  return case when v_moment >= '0001-01-01T00:00:00Z' and v_moment < '10000-01-01T00:00:00Z' then v_moment end;
end $$;
