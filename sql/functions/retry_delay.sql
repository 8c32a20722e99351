-- How long a task waits before its next attempt (contract 6.6): full jitter, in whole milliseconds. p_attempt: the one that
-- failed. Less than a nanosecond counts as one, because the smallest numbers can be multiplied to no number (22003).
-- Locks: none. Called by: report_tasks, retry_tasks. Inlined there.
create or replace function taskrunner_private.retry_delay(
  p_attempt integer, p_initial_delay_secs double precision, p_multiplier double precision, p_max_delay_secs double precision
) returns interval
language sql volatile parallel safe
return make_interval(secs =>
  floor(random() * greatest(least(p_max_delay_secs, p_initial_delay_secs * p_multiplier ^ (p_attempt - 1)), 1e-9) * 1000) / 1000);
