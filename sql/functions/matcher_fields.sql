-- The fields of a rule's matcher as a shape has them: sorted, each once.
create or replace function taskrunner_private.matcher_fields(p_matcher jsonb) returns text[]
language sql immutable parallel safe
return array(select distinct f collate "C" from jsonb_array_elements_text(p_matcher -> 'fields') f order by 1);
