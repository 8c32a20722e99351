-- Actions as they may be shown (contract 8.9): values of headers and of query parameters whose name says secret, and
-- passwords before @, read ***. A name with a percent sign may be any name. Without headers and without a sign in the URL that
-- can stand before a secret there is nothing to mask, which one look tells. pg_catalog only: functions in a view are
-- checked against whoever reads it.
create or replace view taskrunner.action_masked with (security_barrier) as
select a.id, a.seq, a.task_id, a.kind, a.trigger, a.condition, a.position, a.attempt,
  case when not a.params ? 'headers' and a.params ->> 'url' !~ '[@?&;]' then a.params
  else a.params
    || case when jsonb_typeof(a.params -> 'headers') = 'object' then jsonb_build_object('headers', coalesce((
         select jsonb_object_agg(h.key, case
           when h.key collate "C" ~* '^(authorization|proxy-authorization|cookie)$|token|secret|key' then to_jsonb('***'::text)
           else h.value end)
         from jsonb_each(a.params -> 'headers') h), '{}')) else '{}' end
    || case when jsonb_typeof(a.params -> 'url') = 'string' then jsonb_build_object('url',
         regexp_replace(regexp_replace(a.params ->> 'url' collate "C",
           '^([A-Za-z][A-Za-z0-9+.-]*://[^/?#:]*):[^/?#]*@', '\1:***@'),
           '([?&;](?:[^=&#]*(?:token|secret|key|%)[^=&#]*|authorization|proxy-authorization|cookie)=)[^&#]*',
           '\1***', 'gi')) else '{}' end
  end as params
from taskrunner.action a;
