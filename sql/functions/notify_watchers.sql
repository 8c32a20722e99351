-- Tells the replicas that watch one of these batches: one notification on channel taskrunner, its payload 'watch'. They watch anew
-- before they look (watch_batch.sql), so that many changes are one notification.
-- Locks: rows of watch, skip locked: who holds one notifies. At commit, the server's notification lock. Writes watch.
-- Called by: triggers/task_800_count.sql.
create or replace function taskrunner_private.notify_watchers(p_batches uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  delete from taskrunner_private.watch w
  where w.ctid = any(array(select x.ctid from taskrunner_private.watch x where x.batch_id = any(p_batches) for update skip locked));
  if found then
    perform pg_notify('taskrunner', 'watch');
  end if;
end $$;
