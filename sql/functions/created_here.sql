-- Was this row of task inserted by the running transaction? Then nobody else can see it, wait for it or hold it.
-- xmin alone would also be ours after an update, so the creation time must fit as well; a row inserted under a
-- savepoint has another xmin and takes the slower way, which is always right. Inlined wherever it is used.
create or replace function taskrunner_private.created_here(p_xmin xid, p_created_at timestamptz) returns boolean
language sql stable
return p_xmin = pg_current_xact_id_if_assigned()::xid and p_created_at = now();
