-- Status changes need READ COMMITTED. Called only in the rare session that has another level.
-- SQLSTATE: TR009.
create or replace function taskrunner_private.task_isolation() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- Links among new tasks need no isolation level; where older tasks are concerned link_count has looked already.
  if coalesce(current_setting('taskrunner.cause', true), '') not in ('propagate', 'link', 'rerank')
    and exists (select from new_rows n join old_rows o using (id) where n.status <> o.status)
  then
    perform taskrunner_private.require_read_committed();
  end if;
  return null;
end $$;

create or replace trigger task_450_isolation after update on taskrunner.task
referencing new table as new_rows old table as old_rows
for each statement when (current_setting('transaction_isolation') <> 'read committed')
execute function taskrunner_private.task_isolation();
