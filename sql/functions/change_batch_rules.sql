-- PATCH /batch/{id}/rules: everything in the body is judged first, then the batch is looked for. Tasks that have the rules
-- already are counted, not written, so that repeating it costs nothing; last_updated stays as it is.
-- Every task that gets them must have the fields that they name, else nothing is changed. They are stored in one spelling.
-- p_body: {"kind", "rules"}. Returns how many tasks of that kind have not ended.
-- Locks: graph lock shared, the tasks that change by rank. Writes task.rules.
-- SQLSTATEs: TR002 (unknown batch), TR004 (rules), TR007 (all else, and mixtures), TR009.
-- Called by: set_batch_rules.
create or replace function taskrunner_private.change_batch_rules(p_batch_id uuid, p_body jsonb) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_rules jsonb := coalesce(p_body -> 'rules', 'null');
  v_kind text := p_body ->> 'kind';
  v_faults text[];
  v_total bigint;
  v_code text;
  v_ids uuid[];
  v_count bigint;
begin
  select array_agg(f.fault order by f.n) filter (where f.n <= 101), count(*),
    case when bool_and(f.of_rule) then 'TR004' else 'TR007' end
  into v_faults, v_total, v_code
  from (
    select 0 as n, false as of_rule, 'kind: ' || message as fault
    from (select taskrunner_private.text_error(p_body -> 'kind', 2147483647)) k (message)
    union all
    select 1, false, 'rules: is required' where v_rules = 'null'
    union all
    select 1 + row_number() over (), true, 'rules' || e.path || ': ' || e.message
    from (select * from taskrunner_private.rules_errors(v_rules, null) limit 10001) e
  ) f
  where f.fault is not null;
  if v_total > 0 then
    raise exception 'Validation failed' using errcode = v_code,
      detail = to_jsonb(taskrunner_private.first_faults(v_faults, v_total))::text;
  end if;
  if not exists (select from taskrunner.batch b where b.id = p_batch_id) then
    raise exception 'batch %: unknown batch', coalesce(p_batch_id::text, 'null') using errcode = 'TR002';
  end if;

  perform taskrunner_private.require_read_committed();
  v_rules := taskrunner_private.normal_rules(v_rules);
  v_ids := array(
    select t.id from taskrunner.task t
    where t.batch_id = p_batch_id and t.kind = v_kind and t.rules <> v_rules
      and not taskrunner_private.is_terminal(t.status));
  if v_ids <> '{}' then
    perform taskrunner_private.lock_graph_shared(true);
    perform taskrunner_private.lock_tasks(v_ids, true);
    v_faults := array(
      select format('rules[%s].matcher.fields: %s is not a top-level key of the metadata of task %s', r.n - 1,
        taskrunner_private.quoted(f.name), t.id)
      from unnest(v_ids) as given (id)
      cross join lateral (
        select x.* from taskrunner.task x where x.id = given.id and not taskrunner_private.is_terminal(x.status) offset 0) t
      cross join lateral jsonb_array_elements(v_rules) with ordinality r (rule, n)
      cross join lateral jsonb_array_elements_text(r.rule -> 'matcher' -> 'fields') f (name)
      where not case when jsonb_typeof(t.metadata) = 'object' then t.metadata ? f.name else false end
      limit 101);
    if v_faults <> '{}' then
      raise exception 'Validation failed' using errcode = 'TR004',
        detail = to_jsonb(taskrunner_private.first_faults(v_faults, cardinality(v_faults)))::text;
    end if;
    perform taskrunner_private.set_cause('');
    update taskrunner.task t
    set rules = v_rules
    where t.id = any(v_ids) and not taskrunner_private.is_terminal(t.status);
  end if;
  select count(*) into v_count from taskrunner.task t
  where t.batch_id = p_batch_id and t.kind = v_kind and not taskrunner_private.is_terminal(t.status);
  return v_count;
end $$;
