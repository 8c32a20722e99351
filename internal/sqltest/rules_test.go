package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What rules_errors says about an array of rules, as "path|message".
func TestRulesErrors(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const (
		concurency = `"type": "Concurency", "max_concurency": 1`
		matcher    = `"matcher": {"kind": "k", "status": "Running", "fields": []}`
	)
	for _, tc := range []struct {
		rules, metadata string // metadata "": not looked at
		want            []string
	}{
		{`null`, ``, []string{}},
		{`[]`, ``, []string{}},
		{`{}`, ``, []string{"|must be an array"}},
		{`[null, 1, []]`, ``, []string{"[0]|must be an object", "[1]|must be an object", "[2]|must be an object"}},
		{`[{}]`, ``, []string{"[0].type|is required", "[0].matcher|is required"}},
		{`[{"type": "concurency", ` + matcher + `}, {"type": 1, ` + matcher + `}]`, ``, []string{
			"[0].type|must be one of Concurency, Concurrency, Capacity", "[1].type|must be one of Concurency, Concurrency, Capacity"}},

		// Both spellings, mixed freely.
		{`[{"type": "Concurency", "max_concurrency": 1, ` + matcher + `}, {"type": "Concurrency", "max_concurency": 2147483647, ` + matcher + `}]`, ``, []string{}},
		{`[{"type": "Concurency", "max_concurrency": 3, "max_concurency": null, ` + matcher + `}]`, ``, []string{}},
		{`[{"type": "Concurency", "max_concurrency": 1, "max_concurency": 1, ` + matcher + `}]`, ``, []string{
			"[0].max_concurency|only one of max_concurency and max_concurrency is allowed"}},
		{`[{"type": "Concurency", "max_capacity": 1, ` + matcher + `}]`, ``, []string{"[0].max_concurency|is required"}},
		{`[{"type": "Concurency", "max_concurrency": 0, ` + matcher + `}]`, ``, []string{"[0].max_concurency|must be between 1 and 2147483647"}},
		{`[{"type": "Concurency", "max_concurency": 2147483648, ` + matcher + `}]`, ``, []string{"[0].max_concurency|must be between 1 and 2147483647"}},
		{`[{"type": "Concurency", "max_concurency": "1", ` + matcher + `}]`, ``, []string{"[0].max_concurency|must be an integer"}},
		{`[{"type": "Concurency", "max_concurency": 1.0, ` + matcher + `}]`, ``, []string{"[0].max_concurency|must be an integer"}},
		{`[{"type": "Capacity", "max_capacity": 9223372036854775807, "max_concurency": "ignored", ` + matcher + `}]`, ``, []string{}},
		{`[{"type": "Capacity", "max_capacity": 9223372036854775808, ` + matcher + `}]`, ``, []string{
			"[0].max_capacity|must be between 1 and 9223372036854775807"}},
		{`[{"type": "Capacity", "max_capacity": 0, ` + matcher + `}]`, ``, []string{"[0].max_capacity|must be at least 1"}},
		{`[{"type": "Capacity", "max_capacity": null, ` + matcher + `}]`, ``, []string{"[0].max_capacity|is required"}},

		{`[{` + concurency + `, "matcher": []}]`, ``, []string{"[0].matcher|must be an object"}},
		{`[{` + concurency + `, "matcher": {}}]`, `{}`, []string{
			"[0].matcher.kind|is required", "[0].matcher.status|is required", "[0].matcher.fields|is required"}},
		{`[{` + concurency + `, "matcher": {"kind": "\u3000", "status": "Claimed", "fields": "a"}}]`, `{}`, []string{
			"[0].matcher.kind|must not be blank", "[0].matcher.status|must be Running", "[0].matcher.fields|must be an array of strings"}},
		{`[{` + concurency + `, "matcher": {"kind": 1, "status": 1, "fields": ["a", [1]]}}]`, `{"a": 1}`, []string{
			"[0].matcher.kind|must be a string", "[0].matcher.status|must be Running", "[0].matcher.fields|must be an array of strings"}},

		// Fields that the metadata lacks; null is there.
		{`[{` + concurency + `, "matcher": {"kind": "k", "status": "Running", "fields": ["a", "b", "c", "b"]}}]`, `{"a": null}`, []string{
			`[0].matcher.fields|"b" is not a top-level key of the task's metadata`, `[0].matcher.fields|"c" is not a top-level key of the task's metadata`}},
		{`[{` + concurency + `, "matcher": {"kind": "k", "status": "Running", "fields": ["a"]}}]`, ``, []string{}},
		{`[{` + concurency + `, "matcher": {"kind": "k", "status": "Running", "fields": ["a"]}}]`, `["a"]`, []string{
			`[0].matcher.fields|"a" is not a top-level key of the task's metadata`}},
		{`[{` + concurency + `, "matcher": {"kind": "k", "status": "Running", "fields": ["a"]}}]`, `"a"`, []string{
			`[0].matcher.fields|"a" is not a top-level key of the task's metadata`}},
		{`[{` + concurency + `, "matcher": {"kind": "k", "status": "Running", "fields": []}}]`, `null`, []string{}},
	} {
		got := e.lines("select path, message from taskrunner_private.rules_errors($1, nullif($2, '')::jsonb)", tc.rules, tc.metadata)
		require.Equal(t, tc.want, got, tc.rules)
	}
}

// What is taken for plain at a glance has no fault and is in the spelling that is stored; the ordinary rule is.
func TestPlainRules(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(`create table plain as
		select r.rules, m.metadata, taskrunner_private.are_plain_rules(r.rules, m.metadata) as plain
		from (
			select jsonb_build_array(jsonb_build_object('type', a.type, 'max_concurency', b.most, 'matcher',
				jsonb_build_object('status', c.status, 'kind', d.kind, 'fields', f.fields) || g.more) || g.more) || h.second as rules
			from unnest('{"\"Concurency\"","\"Concurrency\"","\"Capacity\"","[\"Concurency\"]"}'::jsonb[]) a (type)
			cross join unnest('{1,999999999,2147483648,0,1.0,"\"1\"",null}'::jsonb[]) b (most)
			cross join unnest('{"\"Running\"","\"Pending\"",null}'::jsonb[]) c (status)
			cross join unnest('{"\"k\"","\" \"","\"\"",1,null}'::jsonb[]) d (kind)
			cross join unnest('{"[\"a\"]","[\"a\",\"b\"]","[\"b\",\"a\"]","[\"a\",\"a\"]","[\"a\",\"b\",\"c\"]","[]","[1]","[\"a\",null]","[\"a\",1]","\"a\"","{\"a\":1}",null}'::jsonb[]) f (fields)
			cross join unnest('{"{}","{\"x\":1}"}'::jsonb[]) g (more)
			cross join unnest('{"[]","[1]"}'::jsonb[]) h (second)
			union all
			select unnest('{"[]","{}","1","null","[[]]","[1]"}'::jsonb[])) r
		cross join unnest('{"{\"a\":1,\"b\":null}","{\"a\":1}","[\"a\",\"b\"]","\"a\"","{}",null}'::jsonb[]) m (metadata)`)
	require.Equal(t, []string{"0"}, e.lines(`select count(*) from plain p where plain is null or plain and (
		p.rules <> taskrunner_private.normal_rules(p.rules) or exists (select from taskrunner_private.rules_errors(p.rules, p.metadata)))`))
	require.ElementsMatch(t, []string{`["a"]|{"a": 1}`, `["a"]|{"a": 1, "b": null}`, `["a", "a"]|{"a": 1}`, `["a", "a"]|{"a": 1, "b": null}`,
		`["a", "b"]|{"a": 1, "b": null}`, `["b", "a"]|{"a": 1, "b": null}`},
		e.lines(`select distinct rules #>> '{0,matcher,fields}', metadata::text from plain where plain`))
	require.Equal(t, []string{"1", "999999999"}, e.lines("select distinct (rules #>> '{0,max_concurency}')::integer from plain where plain order by 1"))
}

// A limit has one id, however it is computed: that of few fields is written out.
func TestLimitIDs(t *testing.T) {
	t.Parallel()
	e := setup(t)
	require.Equal(t, []string{"0|42|6"}, e.lines(`
		select count(*) filter (where x.id is distinct from x.hash), count(*), count(distinct x.id)
		from (
			select taskrunner_private.limit_id(7, f, m) as id, case when f = '{}' then jsonb_hash_extended('[7]', 8312345678901234567)
				else taskrunner_private.hash_limit(7, f, m) end as hash
			from unnest(array['[]', '["a"]', '["a", "b"]', '["b", "c"]', '["a", "b", "c"]', '["a", "d"]', '[""]']::jsonb[]) s (fields)
			cross join lateral (select array(select jsonb_array_elements_text(s.fields)) as f) fields
			cross join unnest(array['{"a": 1, "b": [1], "c": null, "": {}}', '{"a": 1.0}', '["a", "b"]', '"a"', 'null', null]::jsonb[]) as m
		) x`))
}
