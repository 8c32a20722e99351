-- The five roles (contract 13.4): NOLOGIN, to be granted to login roles. Roles belong to the whole cluster, so one that
-- exists, or is created by another database at the same moment, is no error; a user that may not create roles leaves
-- that to somebody who may.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['taskrunner_reader', 'taskrunner_producer', 'taskrunner_worker', 'taskrunner_admin',
    'taskrunner_service']
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      begin
        execute format('create role %I nologin', v_role);
      exception when duplicate_object or unique_violation or insufficient_privilege then
        null;
      end;
    end if;
  end loop;
end $$;
