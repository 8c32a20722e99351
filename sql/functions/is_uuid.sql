-- Is this a UUID in one of the spellings that the contract takes (section 1.3): hyphenated, 32 hex digits, braced or
-- urn form? Inlined wherever it is used.
create or replace function taskrunner_private.is_uuid(p_text text) returns boolean
language sql immutable parallel safe
return p_text ~* '^[0-9a-f]{32}$'
  or regexp_replace(p_text, '^urn:uuid:|^\{(.{36})\}$', '\1', 'i') ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
