-- A text of a request as a message shows it: as a JSON string, cut when it is long. Inlined wherever it is used.
create or replace function taskrunner_private.quoted(p_text text) returns text
language sql immutable parallel safe
return case when char_length(p_text) > 64 then to_json(left(p_text, 63) || '…')::text else to_json(p_text)::text end;
