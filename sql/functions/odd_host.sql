-- url_host of a URL that is not written in the plain way: dots at the end of the host are left out, zeros in front of the port, and the
-- port that the scheme implies.
-- Locks: none. Called by: url_host.
create or replace function taskrunner_private.odd_host(p_url text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_found text[] := regexp_match(p_url, '^([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#]*@)?([^/?#]+)');
  v_scheme text := lower(v_found[1] collate "C");
  v_host text := lower(v_found[2] collate "C");
  v_port text := substring(v_host from ':([0-9]*)$');
begin
  if v_port is not null then
    v_host := left(v_host, -length(v_port) - 1);
    v_port := ltrim(v_port, '0');
  end if;
  return coalesce(nullif(rtrim(v_host, '.'), ''), v_host)
    || case when v_port <> '' and (v_scheme, v_port) not in (('http', '80'), ('https', '443')) then ':' || v_port else '' end;
end $$;
