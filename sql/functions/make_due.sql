-- Makes End and Cancel deliveries due now with a fresh budget of tries, whatever has become of them. Keys and log stay.
-- Locks: none waited for; the caller holds the rows of delivery, and knows that none is being sent. Wakes the loops.
-- Writes delivery, due_delivery, troubled_delivery. Called by: replay_delivery, replay_deliveries.
create or replace function taskrunner_private.make_due(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  delete from taskrunner_private.troubled_delivery f using taskrunner_private.delivery d
  where d.id = any(p_ids) and f.created_at = d.created_at and f.delivery_id = d.id;
  insert into taskrunner_private.due_delivery as q (delivery_id, next_try_at, host)
  select d.id, clock_timestamp(), taskrunner_private.url_host(a.params ->> 'url')
  from taskrunner_private.delivery d
  join taskrunner.action a on a.id = d.action_id
  where d.id = any(p_ids)
  on conflict (delivery_id) do update
  set next_try_at = excluded.next_try_at, leased_by = null, leased_until = null;
  update taskrunner_private.delivery d
  set status = 'Pending', finished_at = null, tries_before = d.tries, max_tries = d.tries + s.webhook_max_attempts
  from taskrunner_private.server_setting s
  where d.id = any(p_ids) and s.singleton;
  perform taskrunner_private.notify_if_idle('deliver');      -- what was due already was updated, not inserted
end $$;
