package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Contract 7.5: dedupe_strategy.

// matcher is one of a dedupe_strategy.
func matcher(kind, status string, fields ...string) string {
	quoted := make([]string, len(fields))
	for i, f := range fields {
		quoted[i] = `"` + f + `"`
	}
	return fmt.Sprintf(`{"kind": %q, "status": %q, "fields": [%s]}`, kind, status, strings.Join(quoted, ", "))
}

// entry is a task of a request; extra are further fields, each `"name": value`.
func entry(name, kind string, extra ...string) string {
	return fmt.Sprintf(`{%s}`, strings.Join(append([]string{fmt.Sprintf(`"id": %q, "name": %q, "kind": %q,
		"on_start": {"kind": "Webhook", "params": {"url": "http://hooks.example.com/", "verb": "Post"}}`, name, name, kind)}, extra...), ", "))
}

func strategy(matchers ...string) string {
	return `"dedupe_strategy": [` + strings.Join(matchers, ", ") + "]"
}

func metadata(json string) string { return `"metadata": ` + json }

func dependsOn(entries ...string) string {
	var list []string
	for _, e := range entries {
		name, required := strings.CutSuffix(e, "!")
		list = append(list, fmt.Sprintf(`{"id": %q, "requires_success": %t}`, name, required))
	}
	return `"dependencies": [` + strings.Join(list, ", ") + "]"
}

// submits creates a request by SQL: "<entry> <name of its task> <status>", and "=" before those that were left out.
func (e *engine) submits(entries ...string) []string {
	e.t.Helper()
	// The names in a later statement: the first one's snapshot is older than the tasks.
	rows := e.lines("select local_id, task_id, status, deduplicated from taskrunner.submit_batch($1::jsonb)", "["+strings.Join(entries, ", ")+"]")
	var list []string
	for _, r := range rows {
		c := strings.Split(r, "|")
		name := e.line("select name from taskrunner.task where id = $1", c[1])
		list = append(list, c[0]+" "+map[string]string{"t": "="}[c[3]]+name+" "+c[2])
	}
	return list
}

// taskOf inserts a task of a kind.
func (e *engine) taskOf(kind, name string) {
	e.t.Helper()
	e.exec(strings.Replace(insertTasks(name), "'k')", "'"+kind+"')", 1))
}

// Every status, with equal and other values of the fields.
func TestDedupeByStatus(t *testing.T) {
	t.Parallel()
	for status, tc := range map[string]struct {
		to    []string
		found []string // statuses of matchers that hit
	}{
		"Waiting":             {nil, []string{"Waiting"}},
		"Pending":             {nil, []string{"Pending"}},
		"Claimed":             {[]string{"Claimed"}, []string{"Claimed", "Running"}},
		"Running":             {[]string{"Claimed", "Running"}, []string{"Running"}},
		"paused from Running": {[]string{"Claimed", "Running", "Paused"}, []string{"Running", "Paused"}},
		"paused from Pending": {[]string{"Paused"}, []string{"Paused"}},
		"Success":             {[]string{"Claimed", "Running", "Success"}, []string{"Success"}},
		"Failure":             {[]string{"Claimed", "Running", "Failure"}, []string{"Failure"}},
		"Canceled":            {[]string{"Canceled"}, []string{"Canceled"}},
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.taskOf("other", "parent")
			e.tasks("there")
			e.exec(`update taskrunner.task set metadata = '{"a": 1, "b": [1, 2], "c": null}' where name = 'there'`)
			if status == "Waiting" {
				e.links("parent>there")
			}
			e.move("there", tc.to...)
			for _, s := range []string{"Waiting", "Pending", "Claimed", "Running", "Failure", "Success", "Paused", "Canceled"} {
				want := []string{"new new Pending"}
				for _, found := range tc.found {
					if found == s {
						want = []string{"new =there " + strings.Fields(e.state("there"))[0]}
					}
				}
				first, _ := e.pair()
				first.script("begin")
				got := first.run("select local_id || ' ' || case when deduplicated then '=there' else 'new' end || ' ' || status from taskrunner.submit_batch($1::jsonb)",
					"["+entry("new", "x", metadata(`{"a": 1.0, "b": [1, 2], "c": null, "d": 5}`), strategy(matcher("k", s, "c", "a", "b")))+"]")
				require.Equal(t, want, got, s)
				first.script("rollback")
			}
			for name, other := range map[string]string{
				"value": `{"a": "1", "b": [1, 2], "c": null}`, "order": `{"a": 1, "b": [2, 1], "c": null}`, "containment": `{"a": 1, "b": [1], "c": null}`,
				"missing": `{"a": 1, "b": [1, 2]}`, "no object": `[1]`, "null": `null`,
			} {
				require.Equal(t, []string{"new new Pending"},
					e.submits(entry("new", "x", metadata(other), strategy(matcher("k", tc.found[0], "a", "b", "c")))), name)
			}
			require.Equal(t, []string{"new =there " + strings.Fields(e.state("there"))[0]},
				e.submits(entry("new", "x", strategy(matcher("nobody", "Running"), matcher("k", tc.found[0], "lacks"), matcher("k", tc.found[0])))), "no fields fit every task")
		})
	}
}

// Array order: an earlier entry that stays suppresses later ones, as Waiting or Pending.
func TestDedupeInsideARequest(t *testing.T) {
	t.Parallel()
	e := setup(t)
	once := strategy(matcher("k", "Pending", "n"))
	require.Equal(t, []string{"a a Pending", "b =a Pending", "c =a Pending", "d d Pending", "e e Waiting", "f =e Waiting", "g g Pending"}, e.submits(
		entry("a", "k", metadata(`{"n": 1}`)),
		entry("b", "k", metadata(`{"n": 1}`), once),
		entry("c", "k", metadata(`{"n": 1.0}`), once),
		entry("d", "k", metadata(`{"n": 2}`), once),
		entry("e", "w", metadata(`{"n": 1}`), dependsOn("b")),
		entry("f", "w", metadata(`{"n": 1}`), strategy(matcher("w", "Waiting", "n"))),
		entry("g", "k", metadata(`{"n": 3}`), strategy(matcher("k", "Waiting", "n"), matcher("k", "Running"))),
	))
	require.Equal(t, []string{"a>e"}, e.lines("select p.name || '>' || c.name from taskrunner.link l join taskrunner.task p on p.id = l.parent_id join taskrunner.task c on c.id = l.child_id"))
	// Everything is there already: nothing is created, no batch either.
	require.Equal(t, []string{"x =d Pending", "y =a Pending"}, e.submits(entry("x", "k", metadata(`{"n": 2}`), once), entry("y", "k", metadata(`{"n": 1}`), once)))
	require.Equal(t, "1", e.line("select count(*) from taskrunner.batch"))
}

// A dependency on a left-out entry becomes a link to the newest match of the first matcher that hit; ended ones count at once.
func TestDependencyOnALeftOutEntry(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("old", "new")
	e.taskOf("done", "done")
	e.taskOf("failed", "failed")
	e.move("done", "Claimed", "Success")
	e.move("failed", "Canceled")
	require.Equal(t, []string{"p =new Pending", "q =done Success", "r =failed Canceled", "c c Waiting", "d d Failure", "f f Waiting"}, e.submits(
		entry("p", "x", strategy(matcher("k", "Success"), matcher("k", "Pending"), matcher("done", "Success"))),
		entry("q", "x", strategy(matcher("done", "Success"))),
		entry("r", "x", strategy(matcher("failed", "Canceled"))),
		entry("c", "y", dependsOn("p!", "q!", "r")),
		entry("d", "y", dependsOn("r!", "c")),
		entry("f", "y", `"dependencies": [{"task_id": "`+id("new")+`", "requires_success": false}, {"id": "p", "requires_success": true}]`),
	))
	require.Equal(t, []string{"done>c", "failed>d", "failed?c", "new>c", "new>f", "c?d"}, e.lines(
		`select p.name || case when l.requires_success then '>' else '?' end || c.name from taskrunner.link l
		join taskrunner.task p on p.id = l.parent_id join taskrunner.task c on c.id = l.child_id
		order by p.name = 'c', 1`))
	require.Equal(t, []string{"c Waiting 1/1", "f Waiting 1/1"}, e.lines("select name || ' ' || status || ' ' || wait_finished || '/' || wait_success from taskrunner.task where name in ('c', 'f') order by 1"))
}

// A match that closes a cycle refuses the request.
func TestDedupeClosesACycle(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for name, entries := range map[string][]string{
		"c -> c":      {entry("c", "k", dependsOn("e")), entry("e", "k", strategy(matcher("k", "Waiting")))},
		"c -> b -> c": {entry("c", "k", dependsOn("b")), entry("b", "y", dependsOn("e")), entry("e", "x", strategy(matcher("k", "Waiting")))},
	} {
		pgErr := e.fails("TR003", "select * from taskrunner.submit_batch($1::jsonb)", "["+strings.Join(entries, ", ")+"]")
		require.JSONEq(t, `["dependencies: dependency cycle: `+name+`"]`, pgErr.Detail)
	}
	require.Equal(t, "0", e.line("select count(*) from taskrunner.task"))
}

// Of two requests that would leave each other's entry out, exactly one creates; if it is taken back, the other does.
func TestTwoRequestsWithTheSameMatcher(t *testing.T) {
	t.Parallel()
	body := "[" + entry("a", "k", metadata(`{"n": 1}`), strategy(matcher("k", "Pending", "n"))) + "]"
	crossed := "[" + entry("b", "l", metadata(`{"n": 1}`), strategy(matcher("k", "Pending", "n"))) + "]"
	for _, tc := range []struct{ second, end, want string }{{body, commit, "t"}, {body, rollback, "f"}, {crossed, commit, "t"}, {crossed, rollback, "f"}} {
		e := setup(t)
		first, second := e.pair()
		first.script("begin")
		require.Equal(t, []string{"f"}, first.run("select deduplicated from taskrunner.submit_batch($1::jsonb)", body))
		waits := second.begins("select deduplicated from taskrunner.submit_batch($1::jsonb)", tc.second)
		first.run(tc.end)
		require.Equal(t, []string{tc.want}, e.requireEnds(waits))
		require.Equal(t, "1", e.line("select count(*) from taskrunner.task"))
	}
}

// Kinds are locked in one order, so crossed requests never deadlock; requests without a strategy wait for nobody.
func TestRequestsWithoutAStrategyDoNotWait(t *testing.T) {
	t.Parallel()
	e := setup(t)
	first, _ := e.pair()
	first.script("begin")
	first.run("select from taskrunner.submit_batch($1::jsonb)", "["+entry("a", "k", strategy(matcher("k", "Pending")))+"]")
	require.Equal(t, []string{"b b Pending", "c c Pending"}, e.submits(entry("b", "k"), entry("c", "k", `"dedupe_strategy": []`)))
	require.Equal(t, []string{"d d Pending"}, e.submits(entry("d", "other", strategy(matcher("other", "Pending")))))
	first.script("rollback")
}

// A rare match behind many newer tasks that ended the same way is found too, the newest of several.
func TestDedupeFindsAnOldMatch(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("older", "old")
	e.exec(`insert into taskrunner.task (name, kind) select 'other', 'k' from generate_series(1, 150)`)
	e.exec(`update taskrunner.task set metadata = case when name = 'other' then '{"n": 2}' else '{"n": 1}' end::jsonb`)
	e.exec("update taskrunner.task set status = 'Canceled'")
	require.Equal(t, []string{"a =old Canceled", "b b Pending", "c c Pending", "d =other Canceled"}, e.submits(
		entry("a", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Canceled", "n"))),
		entry("b", "x", metadata(`{"n": 3}`), strategy(matcher("k", "Canceled", "n"))),
		entry("c", "x", metadata(`{"n": 1}`), strategy(matcher("x", "Canceled", "n"))),
		entry("d", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Canceled"))),
	))
}

// So is a live one among more live tasks than are read for it, be its values rare or common, the newest of several.
func TestDedupeFindsALiveMatch(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("older", "old", "new", "done", "started")
	e.exec(`insert into taskrunner.task (name, kind, metadata) select 'other', 'k', '{"n": 2}' from generate_series(1, 600)`)
	e.exec(`update taskrunner.task set metadata = '{"n": 1}' where name <> 'other'`)
	e.move("done", "Claimed", "Success")
	e.move("started", "Claimed")
	for range 2 { // beside few and beside many
		require.Equal(t, []string{"a =new Pending", "b b Pending", "c c Pending", "d =other Pending", "e =started Claimed", "f =started Claimed", "g g Pending"},
			e.submits(
				entry("a", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Pending", "n"))),
				entry("b", "x", metadata(`{"n": 3}`), strategy(matcher("k", "Pending", "n"))),
				entry("c", "x", metadata(`{"n": 1}`), strategy(matcher("y", "Pending", "n"))),
				entry("d", "x", metadata(`{"n": 2}`), strategy(matcher("k", "Pending", "n"))),
				entry("e", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Running", "n"))),
				entry("f", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Claimed", "n"))),
				entry("g", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Waiting", "n"))),
			))
		e.exec(`insert into taskrunner.task (name, kind, metadata) select 'other', 'k', '{"n": 2}' from generate_series(1, 600)`)
	}
	e.exec(`insert into taskrunner.task (name, kind, metadata) select 'running', 'k', '{"n": 2}' from generate_series(1, 1100)`)
	e.exec("update taskrunner.task set status = 'Claimed' where name = 'running'")
	require.Equal(t, []string{"a =started Claimed", "b b Pending"}, e.submits(
		entry("a", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Running", "n"))),
		entry("b", "x", metadata(`{"n": 1}`), strategy(matcher("k", "Paused", "n"))),
	))
}

// What a matcher costs depends neither on how many tasks of its kind have ended, nor on those of other kinds that are newer or have
// the same values; and many matchers read the tasks that they are compared with once.
func TestDedupeReadsLittle(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(`begin;
		set local session_replication_role = replica;
		insert into taskrunner.task (name, kind, status, started_at, ended_at, metadata)
			select 'k', 'k', case when n % 100 = 0 then 'Failure' else 'Success' end::taskrunner.status_kind, now(), now(),
				jsonb_build_object('key', 1, 'n', n) from generate_series(1, 20000) n;
		insert into taskrunner.task (name, kind, status, started_at, ended_at, metadata)
			select 'o', 'o', 'Success', now(), now(), jsonb_build_object('key', n % 2 + 1, 'n', -n) from generate_series(1, 20000) n;
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
			select id, seq, created_at, ended_at, status, kind from taskrunner.task;
		commit`)
	e.exec(`insert into taskrunner.task (name, kind, metadata) select 'l', 'k', jsonb_build_object('key', 1, 'n', n) from generate_series(1, 1000) n`)
	s := e.session("dedupe")
	for range 2 { // without statistics and with them
		for _, c := range []struct{ matcher, metadata, want string }{
			{matcher("k", "Success", "key"), `{"key": 1}`, "t"},
			{matcher("k", "Success", "key"), `{"key": 2}`, "f"},
			{matcher("k", "Success", "key"), `{"key": 3}`, "f"},
			{matcher("k", "Success", "key", "n"), `{"key": 1, "n": 7}`, "t"},
			{matcher("k", "Failure", "n"), `{"n": 100}`, "t"},
			{matcher("k", "Failure", "n"), `{"n": 101}`, "f"},
			{matcher("k", "Canceled", "key"), `{"key": 1}`, "f"},
			{matcher("k", "Pending", "n"), `{"n": 7}`, "t"},
			{matcher("k", "Pending", "n"), `{"n": 1001}`, "f"},
			{matcher("k", "Running", "key"), `{"key": 1}`, "f"},
		} {
			s.run("begin")
			rows, tooMuch := s.reading(1500, `select deduplicated from taskrunner.submit_batch('[`+entry("x", "x", metadata(c.metadata), strategy(c.matcher))+`]')`)
			s.run("rollback")
			require.Equal(t, []string{c.want}, rows, "%+v", c)
			require.Empty(t, tooMuch, "%+v", c)
		}
		s.run("begin")
		rows, tooMuch := s.reading(50_000, `select count(*) filter (where deduplicated) from taskrunner.submit_batch((
			select jsonb_agg('`+entry("x", "x", strategy(matcher("k", "Pending", "key", "n")))+`'::jsonb || jsonb_build_object('id', 'x' || n,
				'metadata', jsonb_build_object('key', 1, 'n', n))) from generate_series(1, 2000) n))`)
		s.run("rollback")
		require.Equal(t, []string{"1000"}, rows)
		require.Empty(t, tooMuch)
		e.exec("analyze")
	}
}

// However many kinds a request names, it takes no more locks than the server has room for.
func TestDedupeTakesFewLocks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	var matchers []string
	for i := range 2000 {
		matchers = append(matchers, matcher(fmt.Sprint("kind", i), "Pending"))
	}
	caller := e.session("caller")
	caller.run("begin")
	caller.run("select from taskrunner.submit_batch($1::jsonb)", "["+entry("a", "x", strategy(matchers...))+"]")
	require.Equal(t, []string{"t"}, caller.run("select count(*) between 200 and 260 from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'"))
	caller.run(rollback)
}
