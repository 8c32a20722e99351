-- Is a text empty but for white space, as Unicode defines it? Inlined wherever it is used.
create or replace function taskrunner_private.is_blank(p_text text) returns boolean
language sql immutable parallel safe
return p_text !~ '[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]';
