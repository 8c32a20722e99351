-- Asks for the shapes that the rules of tasks name and that are not counted yet; register_shape does it. Asked twice does no harm.
-- p_bounded: with these at most 100 shapes of a kind may be counted, since each task of the kind that starts has to be looked at
-- for each of them; whoever writes rules asks so. Two at once may pass it by a few.
-- Locks: none waited for. SQLSTATE: TR004. Writes shape_request.
-- Called by: submit, task_600_queue_insert, task_600_queue_update; admit, as a safety net.
create or replace function taskrunner_private.request_shapes(p_ids uuid[], p_bounded boolean) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = off set jit = off as $$
declare
  c_shapes constant integer := 100;
  v_kinds text[];
  v_full text;
  v_fault text;
begin
  with asked as (
    insert into taskrunner_private.shape_request (kind, fields)
    select distinct n.kind, n.fields
    from taskrunner_private.rule_needs(p_ids) n
    where n.shape_id is null and not exists (
      select from taskrunner_private.shape_request r where r.kind = n.kind and r.fields = n.fields)
    returning kind
  )
  select array_agg(distinct a.kind) into v_kinds from asked a;
  if p_bounded and v_kinds is not null then
    select k.kind into v_full
    from unnest(v_kinds) as k (kind)
    where (select count(*) from taskrunner_private.limit_shape s where s.kind = k.kind)
      + (select count(distinct r.fields) from taskrunner_private.shape_request r where r.kind = k.kind) > c_shapes
    limit 1;
    if v_full is not null then
      v_fault := format('rules: name more than %s different sets of fields, with those in use, for kind %s', c_shapes,
        taskrunner_private.quoted(left(v_full, 100)));
      raise exception '%', v_fault using errcode = 'TR004', detail = jsonb_build_array(v_fault)::text;
    end if;
  end if;
end $$;
