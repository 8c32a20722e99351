-- Rules of a new task must be valid, its metadata must have the fields they name, and a Capacity rule needs expected_count (contract
-- 9.1). They are stored in one spelling. The condition believes a cause only from the owner of the schema; submit has checked.
-- SQLSTATE: TR004.
create or replace function taskrunner_private.task_rules() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_faults text[];
begin
  if tg_op = 'UPDATE' and (new.rules, new.metadata) is not distinct from (old.rules, old.metadata) then
    return new;
  end if;
  if taskrunner_private.are_plain_rules(new.rules, new.metadata) then
    return new;                                              -- most are, and all the rest takes several times as long as the insert
  end if;
  v_faults := array(
    select 'rules' || f.path || ': ' || f.message from taskrunner_private.rules_errors(new.rules, new.metadata) f limit 101);
  if v_faults = '{}' and tg_op = 'INSERT' and new.expected_count is null and jsonb_path_exists(new.rules, '$[*] ? (@.type == "Capacity")')
  then
    v_faults := array['expected_count: is required with a Capacity rule'];
  end if;
  if v_faults <> '{}' then
    raise exception 'task %: %', new.id, v_faults[1] using errcode = 'TR004', detail = to_jsonb(v_faults)::text;
  end if;
  new.rules := taskrunner_private.normal_rules(new.rules);
  return new;
end $$;

create or replace trigger task_150_rules_insert before insert on taskrunner.task
for each row when (new.rules <> '[]' and not taskrunner_private.is_engine())
execute function taskrunner_private.task_rules();
