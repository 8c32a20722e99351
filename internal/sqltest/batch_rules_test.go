package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func setRules(batch, kind, rules string) string {
	return "select taskrunner.set_batch_rules('" + id(batch) + "', " + kind + ", " + rules + ")"
}

func TestSetBatchRules(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "queued", "claimed", "paused", "done")
	e.batch("c", "elsewhere")
	e.move("claimed", "Claimed")
	e.move("paused", "Paused")
	e.move("done", "Canceled")
	require.Equal(t, "3", e.line(setRules("b", "'k'", "'[]'")))
	require.Equal(t, "0", e.line(setRules("b", "'K'", "'[]'")))
	require.Contains(t, e.fails("TR002", setRules("nobody", "'k'", "'[]'")).Message, "unknown batch")
	for _, tc := range []struct{ kind, rules, code, detail string }{
		{"null", "null", "TR007", `["kind: is required", "rules: is required"]`},
		{"' '", "'[]'", "TR007", `["kind: must not be blank"]`},
		{"'k'", "'{}'", "TR004", `["rules: must be an array"]`},
		{"'k'", "'[1]'", "TR004", `["rules[0]: must be an object"]`},
		{"''", "'[1]'", "TR007", `["kind: must not be blank", "rules[0]: must be an object"]`},
	} {
		require.Equal(t, tc.detail, e.fails(tc.code, setRules("b", tc.kind, tc.rules)).Detail)
		require.Equal(t, tc.detail, e.fails(tc.code, setRules("nobody", tc.kind, tc.rules)).Detail, "the batch comes later")
	}
	s := e.session("strict")
	s.script("begin isolation level repeatable read")
	_, err := s.try(setRules("b", "'k'", "'[]'"))
	requireCode(t, err, "TR009")
}

// Rules that change are set under the tasks' locks: who ends meanwhile keeps his, and is not counted.
func TestSetBatchRulesWaits(t *testing.T) {
	t.Parallel()
	for end, want := range map[string]string{commit: "0", rollback: "2"} {
		e := setup(t)
		e.batch("b", "t", "u")
		e.exec("update taskrunner.task set rules = $1", "["+concurency(1, "k")+"]")
		first, second := e.pair()
		first.script("begin; " + call("stop_batch", "b"))
		waits := second.begins(setRules("b", "'k'", "'[]'"))
		first.run(end)
		require.Equal(t, []string{want}, e.requireEnds(waits))
		require.Equal(t, want, e.line("select count(*) from taskrunner.task where rules = '[]'"))
	}
}
