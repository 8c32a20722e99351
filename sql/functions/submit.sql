-- (1) Creates a whole graph (POST /task, submit_batch), in one transaction, set-wise: everything is validated first,
-- then the tasks are written with their final state and counters, numbered so that every parent ranks below its
-- children. Links to tasks that exist already go the ordinary way, through triggers/link_500_count.sql, which counts
-- parents by their state and fails what a failed one requires.
-- p_batch_id: the id the batch gets; an empty request creates nothing, no batch either.
-- The parts of a request are read several times: with a work_mem of 4 MB, 10,000 tasks went through temporary files.
-- Entries whose dedupe_strategy hits are left out (dedupe_entries); if none stays, no batch is created.
-- Returns one row: local ids and task ids in request order, of an entry that is left out the id of its match.
-- Locks: only with a dedupe_strategy: its advisory locks. Only with links to existing tasks: graph lock shared, those tasks by
-- rank.
-- SQLSTATEs: as valid_graph; TR003 when a match closes a cycle; TR009, 40001.
-- Writes batch, task, link, action, queued_task, shape_request.
create or replace function taskrunner_private.submit(p_batch_id uuid, p_body jsonb)
returns table (local_ids text[], task_ids uuid[], counts text)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off
set work_mem = '32MB' as $$
#variable_conflict use_column
declare
  v_tasks jsonb;
  v_n integer;
  v_ids uuid[];
  v_ranks bigint[];
  v_numbers bigint[];
  v_graph record;
  v_external uuid[];
  v_given jsonb;                                             -- the request, when entries of it are left out
  v_dedupe record;
  v_names text[];
begin
  perform taskrunner_private.begin_counts();
  select * into v_graph from taskrunner_private.valid_graph(p_body, '[]');
  v_tasks := v_graph.tasks;
  v_n := jsonb_array_length(v_tasks);
  if v_n = 0 then
    return query select '{}'::text[], '{}'::uuid[], taskrunner_private.take_counts();
    return;
  end if;

  if jsonb_path_exists(v_tasks, 'lax $[*].dedupe_strategy[*]') then
    select * into v_dedupe from taskrunner_private.dedupe_entries(v_tasks);
    if jsonb_array_length(v_dedupe.tasks) < v_n then
      v_given := v_tasks;
      v_tasks := v_dedupe.tasks;
      v_n := jsonb_array_length(v_tasks);
      select * into v_graph from taskrunner_private.linked_graph(v_tasks);
    end if;
  end if;
  v_names := array(
    select task ->> 'id' from jsonb_array_elements(coalesce(v_given, v_tasks)) with ordinality as x (task, n) order by n);
  if v_n = 0 then
    return query select v_names, v_dedupe.matches, taskrunner_private.take_counts();
    return;
  end if;

  v_external := case when v_graph.linked then '{}' else array(
    select distinct taskrunner_private.to_uuid(d ->> 'task_id')
    from jsonb_array_elements(v_tasks) task
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(task -> 'dependencies') = 'array' then task -> 'dependencies' else '[]' end) d
    where d ->> 'task_id' is not null) end;
  if v_external <> '{}' then
    -- Before any number is taken, so that ranks of existing tasks stay below.
    perform taskrunner_private.require_read_committed();
    perform taskrunner_private.lock_graph_shared(true);
    perform taskrunner_private.lock_tasks(v_external, true);
    -- In a later statement: was one removed since it was found? A repetition says that it is unknown, or finds no match.
    if exists (
      select from unnest(v_external) as given (id)
      where (select t.id from taskrunner.task t where t.id = given.id) is null)
    then
      perform taskrunner_private.raise_busy();
    end if;
  end if;

  v_numbers := array(select nextval('taskrunner.task_rank_seq') from generate_series(1, v_n));
  v_ranks := v_numbers;
  if v_graph.ordered is not null then
    for k in 1 .. v_n loop
      v_ranks[v_graph.ordered[k]] := v_numbers[k];
    end loop;
  end if;
  v_ids := array(select taskrunner.uuidv7() from generate_series(1, v_n));

  perform taskrunner_private.set_cause('submit');
  insert into taskrunner.batch (id, name, metadata, dead_end_cancel)
  select p_batch_id, body ->> 'name', coalesce(body -> 'metadata', 'null'), (body ->> 'dead_end_cancel')::boolean
  from (select case when jsonb_typeof(p_body) = 'object' then p_body else '{}' end) b (body);
  perform taskrunner_private.insert_entries(p_batch_id, v_tasks, v_ids, v_ranks, v_graph.children, v_graph.required);
  insert into taskrunner.link (parent_id, child_id, requires_success)
  select v_ids[l.parent], v_ids[l.child], l.required
  from unnest(v_graph.parents, v_graph.children, v_graph.required) as l (parent, child, required);
  if jsonb_path_exists(v_tasks, 'lax $[*] ? (exists (@.on_failure[*]) || exists (@.on_success[*]) || exists (@.on_cancel[*]))') then
    perform taskrunner_private.insert_actions(v_tasks, v_ids);
  end if;
  perform taskrunner_private.set_cause('');
  if jsonb_path_exists(v_tasks, 'lax $[*].rules[*]') then
    perform taskrunner_private.request_shapes(v_ids, true);
  end if;

  if v_external <> '{}' then
    insert into taskrunner.link (parent_id, child_id, requires_success)
    select taskrunner_private.to_uuid(d ->> 'task_id'), v_ids[x.n], (d ->> 'requires_success')::boolean
    from jsonb_array_elements(v_tasks) with ordinality as x (task, n)
    cross join lateral jsonb_array_elements(
      case when jsonb_typeof(task -> 'dependencies') = 'array' then task -> 'dependencies' else '[]' end) d
    where d ->> 'task_id' is not null;
  end if;

  if v_given is not null then
    -- Of each given entry: the id of its match, or that of its place, or its match's, among those that stay.
    v_ids := array(
      with entry as (
        select e.n, e.match, e.same,
          count(*) filter (where e.match is null and e.same is null) over (order by e.n) as place
        from unnest(v_dedupe.matches, v_dedupe.same) with ordinality as e (match, same, n)
      )
      select coalesce(e.match, v_ids[coalesce(s.place, e.place)])
      from entry e
      left join entry s on s.n = e.same
      order by e.n);
  end if;
  if v_external <> '{}' then
    perform taskrunner_private.add_count('linked', (
      select count(*) from jsonb_array_elements(v_tasks) task where jsonb_path_exists(task, 'lax $.dependencies[*].requires_success')));
  else
    perform taskrunner_private.add_count('linked', (select count(distinct c.child) from unnest(v_graph.children) c (child)));
  end if;
  return query select v_names, v_ids, taskrunner_private.take_counts();
end $$;
