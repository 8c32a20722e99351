-- Host and port of a URL as written, lower case, without user information; null when there is none.
create or replace function taskrunner_private.url_host(p_url text) returns text
language sql immutable parallel safe
return lower(substring(p_url from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]+)'));
