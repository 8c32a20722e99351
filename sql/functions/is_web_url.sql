-- Is this an absolute http or https URL with a host that one can try to call? An IPv6 address has brackets and no zone, a
-- port is at most 65535 (WHATWG permits an empty one and 0), and nothing is a space, a control character or, before the
-- path, a backslash, which some take for a slash. What the host means is not looked at. Inlined.
-- Locks: none. Called by: webhook_errors.
create or replace function taskrunner_private.is_web_url(p_url text) returns boolean
language sql immutable parallel safe
return p_url ~* (
    '^https?://([^/?#\\[:space:]\x01-\x20\x7f]*@)?'
    '[^][/?#\\@:<>^|[:space:]\x01-\x20\x7f]+'
    '(:0*([0-9]{0,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?'
    '([/?#][^[:space:]\x01-\x20\x7f]*)?$')
  or p_url ~* (
    '^https?://([^/?#\\[:space:]\x01-\x20\x7f]*@)?'
    '\[('
    '[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}'
    '|([0-9a-f]{1,4}:){6}((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(?!\])|(?=\]))){4}'
    '|(?!:*([0-9a-f]+:+){7}[0-9a-f])([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?::([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?'
    '|(?!:*([0-9a-f]+:+){6})([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?::([0-9a-f]{1,4}:)*'
      '((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(?!\])|(?=\]))){4}'
    ')\]'
    '(:0*([0-9]{0,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?'
    '([/?#][^[:space:]\x01-\x20\x7f]*)?$');
