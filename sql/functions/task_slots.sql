-- The slots that tasks have while they are active: one for each counted shape of their kind that their metadata fits.
-- Inlined wherever it is used, like rule_needs.
-- Locks: none. Called by: admit, insert_slots, move_slots, count_shape, check_invariants.
create or replace function taskrunner_private.task_slots(p_ids uuid[])
returns table (limit_id bigint, task_id uuid)
language sql stable as $$
  select distinct l.limit_id, t.id
  from unnest(p_ids) as given (id)
  cross join lateral (select x.id, x.kind, x.metadata from taskrunner.task x where x.id = given.id offset 0) t
  cross join lateral (
    select s.id, s.fields from taskrunner_private.limit_shape s where s.kind = t.kind offset 0) s
  cross join lateral (select taskrunner_private.limit_id(s.id, s.fields, t.metadata) as limit_id offset 0) l
  where l.limit_id is not null;
$$;
