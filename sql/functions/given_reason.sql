-- The failure_reason that a report by SQL leaves: the given text, or who set the failure. Inlined.
create or replace function taskrunner_private.given_reason(p_status taskrunner.status_kind, p_reason text) returns text
language sql stable
return coalesce(p_reason, case when p_status = 'Failure' then 'Set to Failure by ' || session_user end);
