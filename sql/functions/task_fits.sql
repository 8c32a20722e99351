-- Whether a task passes the filters of a list; one that is null lets everything pass. Names and kinds are searched for a
-- part, by the letter. Inlined wherever it is used.
create or replace function taskrunner_private.task_fits(
  p_task taskrunner.task, p_status taskrunner.status_kind, p_name text, p_kind text, p_timeout integer, p_metadata jsonb
) returns boolean
language sql stable parallel safe
return (p_status is null or (p_task).status = p_status)
  and (p_timeout is null or (p_task).timeout = p_timeout)
  and (p_kind is null or strpos((p_task).kind, p_kind) > 0)
  and (p_name is null or strpos((p_task).name, p_name) > 0)
  and (p_metadata is null or (p_task).metadata @> p_metadata);
