-- Host and port of a URL as written, lower case, without user information; null when there is none.
create or replace function taskrunner_private.url_host(p_url text) returns text
language sql immutable parallel safe
return lower(case
  when split_part(p_url, '/', 1) in ('http:', 'https:') and split_part(p_url, '/', 2) = '' and split_part(p_url, '/', 3) <> ''
    and translate(split_part(p_url, '/', 3), '?#@', '') = split_part(p_url, '/', 3)
    then split_part(p_url, '/', 3)                           -- most look so, and an expression costs a multiple
  else substring(p_url from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]+)') end);
