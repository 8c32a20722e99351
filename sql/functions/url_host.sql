-- The receiver that a URL leads to, by which calls share slots: its host and port in lower case, without user information, null when
-- there is none. Spellings of one receiver that are often met are one (odd_host). At most 255 characters, since it stands in indexes.
create or replace function taskrunner_private.url_host(p_url text) returns text
language sql immutable parallel safe
return left(case
  when split_part(p_url, '/', 1) in ('http:', 'https:') and split_part(p_url, '/', 2) = ''
    and translate(split_part(p_url, '/', 3), '?#@', '') = split_part(p_url, '/', 3)
    and right(split_part(split_part(p_url, '/', 3), ':', 1), 1) <> all('{"",.}')
    and (strpos(split_part(p_url, '/', 3), ':') = 0
      or split_part(split_part(p_url, '/', 3), ':', 2) >= '1' and length(split_part(split_part(p_url, '/', 3), ':', 2)) >= 4)
    then lower(split_part(p_url, '/', 3) collate "C")        -- most look so, and what is odd costs a multiple
  else taskrunner_private.odd_host(p_url) end, 255);
