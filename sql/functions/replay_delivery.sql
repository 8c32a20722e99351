-- Delivers an End or Cancel delivery again (contract 4.13), from every state but Sending.
-- Locks: its row of delivery, then of due_delivery: a claim that has just begun is waited for, and seen.
-- SQLSTATEs: TR001 (is being sent, or belongs to Start), TR002 (unknown).
create or replace function taskrunner_private.replay_delivery(p_delivery_id uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_trigger taskrunner.trigger_kind;
begin
  select d.trigger into v_trigger from taskrunner_private.delivery d where d.id = p_delivery_id for no key update;
  if v_trigger is null then
    raise exception 'delivery %: unknown delivery', p_delivery_id using errcode = 'TR002';
  elsif v_trigger = 'Start' then
    raise exception 'delivery %: belongs to on_start, which is called only to start its task', p_delivery_id
      using errcode = 'TR001';
  end if;
  perform from taskrunner_private.due_delivery q where q.delivery_id = p_delivery_id for update;
  if exists (
    select from taskrunner_private.due_delivery q
    where q.delivery_id = p_delivery_id and q.leased_until > clock_timestamp()) then
    raise exception 'delivery %: is being sent', p_delivery_id using errcode = 'TR001';
  end if;
  perform taskrunner_private.make_due(array[p_delivery_id]);
end $$;
