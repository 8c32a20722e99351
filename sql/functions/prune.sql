-- Retention: removes what ended more than p_days ago (0: whatever has ended), with links, actions and deliveries; removable_tasks
-- says what stays. Batches of which everything ended before that moment go first, one after the other, then single tasks in the order
-- of their end. One bounded chunk: it looks at up to p_limit tasks, fewer if these have more than ten links each, and says how many it
-- removed. next is the p_from of the next chunk; null: that was the last one. All chunks of a run have the moment of the first.
--   select * from taskrunner_private.prune(30);  select * from taskrunner_private.prune(30, 1000, '<next>'); …
-- Several runs at once take turns, chunk by chunk. Who has one waits for nobody longer than 100 ms, so it ends no deadlock but its
-- own: 55P03 then, and nothing is removed.
-- Locks: advisory (1414681418, 6); what remove_tasks locks. SQLSTATEs: TR007, TR009, 55P03. Writes what remove_tasks writes.
create or replace function taskrunner_private.prune(p_days integer, p_limit integer default 1000, p_from jsonb default null)
returns table (tasks integer, batches integer, deliveries integer, attempts bigint, next jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_before timestamptz;
  v_timeout text := current_setting('lock_timeout');
  v_ids uuid[];
  v_at timestamptz[];
  v_seqs bigint[];
  v_next jsonb;
  v_n integer;
begin
  perform taskrunner_private.require_read_committed();
  v_before := taskrunner_private.retention_moment(p_days);
  if (p_limit between 1 and 10000) is not true then
    raise exception 'p_limit: must be from 1 to 10000' using errcode = 'TR007';
  end if;
  v_before := coalesce((p_from ->> 'before')::timestamptz, v_before);

  perform pg_advisory_xact_lock(1414681418, 6);
  perform set_config('lock_timeout', '100ms', true);
  if p_from ? 'ended_at' then
    select coalesce(array_agg(c.task_id order by c.ended_at, c.seq), '{}'), array_agg(c.ended_at order by c.ended_at, c.seq),
      array_agg(c.seq order by c.ended_at, c.seq)
    into v_ids, v_at, v_seqs
    from (
      select e.task_id, e.ended_at, e.seq from taskrunner_private.ended_task e
      where e.ended_at < v_before and (e.ended_at, e.seq) > ((p_from ->> 'ended_at')::timestamptz, (p_from ->> 'ended_seq')::bigint)
      order by e.ended_at, e.seq
      limit p_limit) c;
    v_n := taskrunner_private.tasks_within_links(v_ids, 10 * p_limit);
    if v_n = p_limit or v_n < cardinality(v_ids) then
      v_next := jsonb_build_object('before', v_before, 'ended_at', v_at[v_n], 'ended_seq', v_seqs[v_n]);
    end if;
  else
    select w.ids, w.next into v_ids, v_next from taskrunner_private.whole_batch_tasks(v_before, p_from, p_limit) w;
    v_n := taskrunner_private.tasks_within_links(v_ids, 10 * p_limit);
    if v_n < cardinality(v_ids) then
      v_next := taskrunner_private.place_in_batch(v_ids[v_n]);
    end if;
    v_next := jsonb_build_object('before', v_before) || coalesce(v_next, '{"ended_at": "-infinity", "ended_seq": 0}');
  end if;
  return query select r.*, v_next from taskrunner_private.remove_tasks(v_ids[:v_n], v_before) r;
  perform set_config('lock_timeout', v_timeout, true);
end $$;
