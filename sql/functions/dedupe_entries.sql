-- Which entries of a request are left out because a matcher of their strategy hits (contract 7.5): a task that exists, or an
-- earlier entry that stays. Of several hits the first matcher's newest counts, and entries are newer than what exists.
--   tasks    the entries that stay; dependencies on others name what they match instead, each once, required if either was
--   matches  for each given entry the existing task that it matches, or null
--   same     for each given entry the position of the earlier one that it matches, or null
-- Two requests that would leave each other's entries out take turns: both lock the kinds of their entries and matchers.
-- What a matcher asks for is looked up once, in a statement that begins when the locks are held.
-- Locks: advisory, (1414681423, hash of the kind: one of 256, because the server has room for few locks), by number, until the
-- end of the transaction.
-- Called by: submit, before any other lock.
create or replace function taskrunner_private.dedupe_entries(
  p_tasks jsonb, out tasks jsonb, out matches uuid[], out same integer[]
)
language plpgsql set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_hashjoin = on set jit = off as $$
declare
  v_n integer := jsonb_array_length(p_tasks);
  v_lock integer;
  v_asking integer[];                                        -- of each matcher that applies: entry and key, in order
  v_asked integer[];
  v_giving integer[];                                        -- of each key that an entry fits once it stays: entry and key
  v_given integer[];
  v_kinds text[];                                            -- by key: what is asked for
  v_statuses taskrunner.status_kind[];
  v_values jsonb[];
  v_existing uuid[];                                         -- by key
  v_newest integer[];                                        -- by key: the last entry that stays
  v_ask integer := 1;
  v_give integer := 1;
  v_out boolean;
begin
  perform taskrunner_private.require_read_committed();
  for v_lock in
    select distinct hashtext(k.kind) & 255
    from jsonb_array_elements(p_tasks) task
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(task -> 'dedupe_strategy') = 'array' then task -> 'dedupe_strategy' else '[]' end) m
    cross join lateral (values (task ->> 'kind'), (m ->> 'kind')) k (kind)
    order by 1
  loop
    perform pg_advisory_xact_lock(1414681423, v_lock);
  end loop;

  with entry as materialized (
    select x.n::integer, x.task ->> 'kind' as kind, x.task -> 'metadata' as metadata, x.task -> 'dedupe_strategy' as strategy,
      case when jsonb_typeof(x.task -> 'dependencies') = 'array' and x.task -> 'dependencies' <> '[]' then 'Waiting' else 'Pending' end as status
    from jsonb_array_elements(p_tasks) with ordinality x (task, n)
  ), matcher as materialized (
    select e.n, m.o, m.value ->> 'kind' as kind, m.value ->> 'status' as status,
      array(select distinct f from jsonb_array_elements_text(m.value -> 'fields') f order by f) as fields,
      coalesce(v.chosen, '{}') as chosen
    from entry e
    cross join lateral jsonb_array_elements(case when jsonb_typeof(e.strategy) = 'array' then e.strategy else '[]' end)
      with ordinality m (value, o)
    cross join lateral (
      select jsonb_object_agg(f, e.metadata -> f) as chosen from jsonb_array_elements_text(m.value -> 'fields') f) v
    where not exists (
      select from jsonb_array_elements_text(m.value -> 'fields') f
      where not case when jsonb_typeof(e.metadata) = 'object' then e.metadata ? f else false end)
  ), key as materialized (
    select row_number() over ()::integer as key, k.* from (select distinct kind, status, fields, chosen from matcher) k
  ), asking as (
    select m.n, m.o, k.key
    from matcher m
    join key k on (k.kind, k.status, k.chosen) = (m.kind, m.status, m.chosen)
  ), shape as (
    select distinct kind, status, fields from key where status in ('Waiting', 'Pending')
  ), given as materialized (
    select e.n, s.kind, s.status, s.fields, v.chosen
    from entry e
    join shape s on (s.kind, s.status) = (e.kind, e.status)
    cross join lateral (select coalesce(jsonb_object_agg(f, e.metadata -> f), '{}') as chosen from unnest(s.fields) f) v
    where case when jsonb_typeof(e.metadata) = 'object' then e.metadata ?& s.fields else s.fields = '{}' end
  ), giving as (
    select g.n, k.key
    from given g
    join key k on (k.kind, k.status, k.fields, k.chosen) = (g.kind, g.status, g.fields, g.chosen)
  )
  select
    (select array_agg(a.n order by a.n, a.o) from asking a), (select array_agg(a.key order by a.n, a.o) from asking a),
    (select array_agg(g.n order by g.n, g.key) from giving g), (select array_agg(g.key order by g.n, g.key) from giving g),
    (select array_agg(k.kind order by k.key) from key k), (select array_agg(k.status::taskrunner.status_kind order by k.key) from key k),
    (select array_agg(k.chosen order by k.key) from key k)
  into v_asking, v_asked, v_giving, v_given, v_kinds, v_statuses, v_values;
  v_existing := taskrunner_private.duplicates_of(v_kinds, v_statuses, v_values);

  matches := array_fill(null::uuid, array[v_n]);
  same := array_fill(null::integer, array[v_n]);
  v_newest := array_fill(null::integer, array[coalesce(cardinality(v_existing), 0)]);
  for n in 1 .. v_n loop
    v_out := false;
    while v_asking[v_ask] = n loop
      if not v_out then
        same[n] := v_newest[v_asked[v_ask]];
        if same[n] is null then
          matches[n] := v_existing[v_asked[v_ask]];
        end if;
        v_out := same[n] is not null or matches[n] is not null;
      end if;
      v_ask := v_ask + 1;
    end loop;
    while v_giving[v_give] = n loop
      if not v_out then
        v_newest[v_given[v_give]] := n;
      end if;
      v_give := v_give + 1;
    end loop;
  end loop;

  with entry as materialized (
    select x.n::integer, x.task, x.task ->> 'id' as id, matches[x.n] as match, same[x.n] as same
    from jsonb_array_elements(p_tasks) with ordinality x (task, n)
  ), dependency as (
    select e.n, coalesce(s.id, case when parent.match is null then d ->> 'id' end) as id,
      coalesce(parent.match, case when d ->> 'task_id' is not null then taskrunner_private.to_uuid(d ->> 'task_id') end) as task_id,
      bool_or((d ->> 'requires_success')::boolean) as required
    from entry e
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(e.task -> 'dependencies') = 'array' then e.task -> 'dependencies' else '[]' end) d
    left join entry parent on parent.id = d ->> 'id'
    left join entry s on s.n = parent.same
    where e.match is null and e.same is null
    group by 1, 2, 3
  ), dependencies as (
    select d.n, jsonb_agg(jsonb_build_object('id', d.id, 'task_id', d.task_id, 'requires_success', d.required)) as list
    from dependency d
    group by d.n
  )
  select coalesce(jsonb_agg(case when d.n is null then e.task else e.task || jsonb_build_object('dependencies', d.list) end order by e.n), '[]')
  into tasks
  from entry e
  left join dependencies d on d.n = e.n
  where e.match is null and e.same is null;
end $$;
