-- What a client may put into a new batch. SECURITY INVOKER, pg_catalog only.
-- SQLSTATEs: TR001 (protected column), TR006 (limit or size), TR007 (blank name).
create or replace function taskrunner_private.batch_guard_insert() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if new.created_at is distinct from now() then
    raise exception 'batch %: column created_at is set by the engine', new.id using errcode = 'TR001';
  elsif char_length(new.name) > 255 then
    raise exception 'batch %: name: must be at most 255 characters', new.id
      using errcode = 'TR006', detail = jsonb_build_array('name: must be at most 255 characters')::text;
  elsif octet_length(new.metadata::text) > 131072 then
    raise exception 'batch %: metadata: must be at most 131072 bytes', new.id
      using errcode = 'TR006', detail = jsonb_build_array('metadata: must be at most 131072 bytes')::text;
  elsif jsonb_path_exists(new.metadata, '$.**{1001}') then
    raise exception 'batch %: metadata: must not be nested deeper than 1000', new.id
      using errcode = 'TR006', detail = jsonb_build_array('metadata: must not be nested deeper than 1000')::text;
  elsif new.name !~ '[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]' then
    raise exception 'batch %: name: must not be blank', new.id
      using errcode = 'TR007', detail = jsonb_build_array('name: must not be blank')::text;
  end if;
  return new;
end $$;

create or replace trigger batch_100_guard_insert before insert on taskrunner.batch
for each row execute function taskrunner_private.batch_guard_insert();
