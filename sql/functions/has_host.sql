-- Whether a URL leads to a host, which is given with its port, or without one for all its ports.
-- Nothing but pg_catalog, so that it can be inlined for whoever may call it.
create or replace function taskrunner_private.has_host(p_url text, p_host text) returns boolean
language sql immutable parallel safe
return lower(p_host collate "C") in (
  lower(substring(p_url collate "C" from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]+)')),
  lower(substring(p_url collate "C" from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]+?)(?::[0-9]*)?(?:[/?#]|$)')));
