-- Actions can be added, not changed; one goes only together with its task. SQLSTATE: TR001.
create or replace function taskrunner_private.action_guard_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from taskrunner.task where id = old.task_id) then
      return old;
    end if;
  end if;
  raise exception 'action %: actions cannot be changed or removed alone', old.id using errcode = 'TR001';
end $$;

create or replace trigger action_100_guard_change before update or delete on taskrunner.action
for each row execute function taskrunner_private.action_guard_change();
