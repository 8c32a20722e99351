-- A UUID in any of the spellings that the contract takes (section 1.3): those of PostgreSQL and the urn form.
create or replace function taskrunner_private.to_uuid(p_text text) returns uuid
language sql immutable parallel safe
return regexp_replace(p_text, '^urn:uuid:', '', 'i')::uuid;
