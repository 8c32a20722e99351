-- Asks for the shapes that the rules of tasks name and that are not counted yet; register_shape does it. Asked twice does no harm.
-- Locks: none waited for. Writes shape_request.
-- Called by: submit, task_600_queue_insert, task_600_queue_update; admit, as a safety net.
create or replace function taskrunner_private.request_shapes(p_ids uuid[]) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
  insert into taskrunner_private.shape_request (kind, fields)
  select distinct n.kind, n.fields
  from taskrunner_private.rule_needs(p_ids) n
  where n.shape_id is null and not exists (
    select from taskrunner_private.shape_request r where r.kind = n.kind and r.fields = n.fields);
$$;
