-- The array of tasks of a request in either form, or the error that lists all that is wrong with it.
-- Locks: none. SQLSTATEs: TR002, TR003, TR006, TR007. Called by: submit.
create or replace function taskrunner_private.valid_tasks(p_body jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_tasks jsonb := case jsonb_typeof(p_body) when 'array' then p_body when 'object' then p_body -> 'tasks' end;
  v_faults jsonb;
  v_codes text[];
begin
  if v_tasks is null or jsonb_typeof(v_tasks) <> 'array' then
    raise exception 'Validation failed' using errcode = 'TR007', detail = jsonb_build_array(
      case when jsonb_typeof(p_body) = 'object' then 'tasks: must be an array of tasks'
           else 'must be an array of tasks or an object with tasks' end)::text;
  elsif jsonb_array_length(v_tasks) > 100000 then
    raise exception 'at most 100000 tasks can be created at once' using errcode = 'TR006',
      detail = jsonb_build_array('tasks: must be at most 100000')::text;
  end if;
  select jsonb_agg(f.detail), array_agg(distinct f.code) into v_faults, v_codes
  from taskrunner_private.submit_errors(p_body, v_tasks) f;
  if v_faults is not null then
    raise exception 'Validation failed'
      using errcode = case when cardinality(v_codes) = 1 then v_codes[1] else 'TR007' end, detail = v_faults::text;
  end if;
  return v_tasks;
end $$;
