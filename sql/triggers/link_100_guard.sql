-- Links are immutable; one goes only together with a task at one of its ends. SQLSTATE: TR001.
create or replace function taskrunner_private.link_guard() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    if not exists (select from taskrunner.task where id = old.parent_id)
      or not exists (select from taskrunner.task where id = old.child_id)
    then
      return old;
    end if;
  end if;
  raise exception 'link % -> %: links cannot be changed or removed alone', old.parent_id, old.child_id
    using errcode = 'TR001';
end $$;

create or replace trigger link_100_guard before update or delete on taskrunner.link
for each row execute function taskrunner_private.link_guard();
