-- Why a JSON value is not fit to be stored (contract 1.3), or null: nesting, or numbers that are too long when written
-- out. p_text is the value as text. Digits inside strings do not count. Inlined wherever it is used.
create or replace function taskrunner_private.json_unfit(p_value jsonb, p_text text) returns text
language sql immutable parallel safe
return case
  when octet_length(p_text) > 2000 and jsonb_path_exists(p_value, '$.**{1001}') then 'must not be nested deeper than 1000'
  when octet_length(p_text) > 1000 and strpos(translate(p_text, '123456789', '000000000'), repeat('0', 1001)) > 0
    and strpos(translate(regexp_replace(p_text, '"(?:[^"\\]|\\.)*"', '', 'g'), '123456789', '000000000'), repeat('0', 1001)) > 0
    then 'must not have more than 1000 digits before or after the point' end;
