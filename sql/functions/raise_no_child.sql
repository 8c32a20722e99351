-- A link to a child that does not exist: the error of a foreign key (sql/README.md, "Links and their tasks").
-- SQLSTATE: 23503. Called by: link_500_count.
create or replace function taskrunner_private.raise_no_child(p_child_id uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'insert or update on table "link" violates foreign key constraint "link_child_id_fkey"'
    using errcode = 'foreign_key_violation', detail = format('Key (child_id)=(%s) is not present in table "task".', p_child_id),
      schema = 'taskrunner', table = 'link', constraint = 'link_child_id_fkey';
end $$;
