-- What a task has left to do, as a Capacity rule counts it. numeric, because counters near their limits would overflow.
-- Inlined wherever it is used.
create or replace function taskrunner_private.work_left(p_expected bigint, p_success bigint, p_failures bigint) returns numeric
language sql immutable parallel safe
return greatest(coalesce(p_expected, 0) - p_success::numeric - p_failures, 0);
