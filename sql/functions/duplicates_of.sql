-- For each of these keys the newest task of the kind and status whose metadata has the values (contract 7.5), or null. p_values:
-- objects of top-level keys and what they must equal; an empty one fits every task. Keys are distinct.
-- The newest tasks of each kind and status are read once and compared with all keys by hash, a few for each key and some more: so
-- many keys cost little more than one, and one does not depend on how many tasks there are. If a kind and status has no more of
-- them, that is all. Otherwise what was not found is rare, and the index of kinds and values has it (duplicate_of).
-- What stays slow are values that very many tasks of the kind have with another status, while thousands have the status asked for
-- and the newest of these do not have the values.
-- Locks: none. Called by: dedupe_entries.
create or replace function taskrunner_private.duplicates_of(p_kinds text[], p_statuses taskrunner.status_kind[], p_values jsonb[])
returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set jit = off as $$
declare
  c_ended constant integer := 50;                            -- ended and other tasks that are read for a kind and status,
  c_live constant integer := 500;
  c_more constant integer := 20;                             -- and for each of its keys
  v_found uuid[];
  v_open integer[];                                          -- keys that are looked for by the index
  v_key integer;
begin
  with key as materialized (
    select u.n, u.kind, u.status, u.chosen, array(select k.name from jsonb_object_keys(u.chosen) k (name) order by k.name) as fields
    from unnest(p_kinds, p_statuses, p_values) with ordinality u (kind, status, chosen, n)
  ), sort as materialized (
    select k.kind, k.status,
      case when taskrunner_private.is_terminal(k.status) then c_ended else c_live end + c_more * count(*) as most
    from key k group by k.kind, k.status
  ), newest as (
    select s.kind, s.status, e.task_id, e.seq
    from sort s
    cross join lateral (
      select x.task_id, x.seq from taskrunner_private.ended_task x
      where hashtextextended(x.kind, 0) = hashtextextended(s.kind, 0) and x.status = s.status and x.kind = s.kind
      order by x.seq desc
      limit case when taskrunner_private.is_terminal(s.status) then s.most else 0 end) e
    union all
    select s.kind, s.status, q.task_id, q.seq
    from sort s
    cross join lateral unnest(case s.status when 'Waiting' then '{waiting}'::taskrunner_private.queue_state[] when 'Paused' then '{paused}'
      when 'Pending' then '{ready,scheduled,parked}' end) o (state)
    cross join lateral (
      select x.task_id, x.seq from taskrunner_private.queued_task x
      where hashtextextended(x.kind, 0) = hashtextextended(s.kind, 0) and x.state = o.state and x.kind = s.kind
      order by x.seq desc
      limit s.most) q
    union all
    select s.kind, s.status, a.task_id, a.seq
    from sort s
    join taskrunner_private.active_task a on a.kind = s.kind
    where s.status in ('Paused', 'Claimed', 'Running')
  ), pool as materialized (
    select p.kind, p.status, p.task_id, p.seq, p.place
    from (
      select n.*, row_number() over (partition by n.kind, n.status order by n.seq desc) as place from newest n) p
    join sort s on (s.kind, s.status) = (p.kind, p.status)
    where p.place <= s.most
  ), candidate as materialized (
    select c.kind, c.status, c.task_id, c.seq, case when c.fields = '{}' then '{}' else (
      select jsonb_object_agg(f, c.metadata -> f) from unnest(c.fields) f) end as chosen
    from (
      select p.kind, p.status, p.task_id, p.seq, t.metadata, f.fields
      from pool p
      cross join lateral (select x.metadata, x.status, x.paused_from from taskrunner.task x where x.id = p.task_id offset 0) t
      join (select distinct k.kind, k.status, k.fields from key k) f on (f.kind, f.status) = (p.kind, p.status)
      where taskrunner_private.status_fits(p.status, t.status, t.paused_from)
        and (f.fields = '{}' or case when jsonb_typeof(t.metadata) = 'object' then t.metadata ?& f.fields end)
    ) c
  ), hit as (
    select distinct on (k.n) k.n, c.task_id
    from candidate c
    join key k on (k.kind, k.status, k.chosen) = (c.kind, c.status, c.chosen)
    order by k.n, c.seq desc
  ), read as (
    select p.kind, p.status, max(p.place) as n from pool p group by p.kind, p.status
  )
  select array_agg(h.task_id order by k.n), coalesce(array_agg(k.n order by k.n) filter (where h.task_id is null and r.n = s.most), '{}')
  into v_found, v_open
  from key k
  join sort s on (s.kind, s.status) = (k.kind, k.status)
  left join hit h on h.n = k.n
  left join read r on (r.kind, r.status) = (k.kind, k.status);

  foreach v_key in array v_open loop
    v_found[v_key] := taskrunner_private.duplicate_of(p_kinds[v_key], p_statuses[v_key], p_values[v_key]);
  end loop;
  return v_found;
end $$;
