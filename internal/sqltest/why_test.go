package sqltest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// why is what keeps a task from running, a sentence per line.
func (e *engine) why(task string) []string {
	e.t.Helper()
	return e.lines("select reason from taskrunner.why($1)", id(task))
}

func TestWhy(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const nobody = "No replica is alive, so nobody starts tasks."
	e.fails("TR002", "select * from taskrunner.why($1)", id("unknown"))
	e.fails("TR002", "select * from taskrunner.why(null)")
	e.tasks("p", "q", "c")
	e.links("p>c", "q?c")
	require.Equal(t, []string{nobody}, e.why("p"))
	require.Equal(t, `{"replicas": 0, "last_heartbeat": null}`, e.line("select detail from taskrunner.why($1)", id("p")))
	e.replica("r")
	require.Empty(t, e.why("p"), "its turn is about to come")
	require.Equal(t, []string{
		`It waits for task ` + id("p") + ` "p", which is Pending and has to succeed.`, `It waits for task ` + id("q") + ` "q", which is Pending.`,
	}, e.why("c"))
	e.move("c", "Paused")
	require.Equal(t, "Somebody has paused it: it goes on when it is resumed.", e.why("c")[0])
	require.Len(t, e.why("c"), 3)

	e.exec("update taskrunner_private.replica set free_slots = 0")
	require.Equal(t, []string{"All webhook slots are busy (one replica)."}, e.why("p"))
	e.replica("s")
	require.Empty(t, e.why("p"))
	e.exec("update taskrunner_private.replica set heartbeat_at = heartbeat_at - interval '1 minute'")
	require.Equal(t, []string{nobody}, e.why("p"))
	e.exec("update taskrunner_private.replica set heartbeat_at = now()")

	e.exec("update taskrunner.task set run_at = '2100-01-02T03:04:05.678Z' where name = 'p'")
	require.Equal(t, []string{"It is not to start before 2100-01-02T03:04:05.678Z."}, e.why("p"))
	e.exec("update taskrunner.task set run_at = 'infinity' where name = 'p'")
	require.Equal(t, []string{"It is not to start before infinity."}, e.why("p"))

	e.move("q", "Claimed")
	require.Equal(t, []string{"A worker in SQL has claimed it and has not started it yet."}, e.why("q"))
	e.move("q", "Running")
	require.Empty(t, e.why("q"))
	e.exec("select taskrunner.finish_task($1, 'Failure', 'disk full')", id("q"))
	require.Equal(t, []string{"It has ended as Failure (disk full), and never runs again."}, e.why("q"))
	e.exec(call("cancel_task", "p"))
	require.Equal(t, []string{"It has ended as Canceled, and never runs again."}, e.why("p"))

	e.retrying("t", 3)
	require.Equal(t, []string{"t"}, e.claim("r", 1))
	require.Equal(t, []string{"Its on_start is being called, and has not been answered yet."}, e.why("t"))
	e.failedStart("r", "t", "")
	e.exec("update taskrunner.task set run_at = '2100-01-01T00:00:00Z'  where name = 't'")
	require.Equal(t, []string{"Its on_start failed (HTTP 503, try 1 of 3); the next try is not made before 2100-01-01T00:00:00.000Z."}, e.why("t"))
	e.exec("select taskrunner.finish_task($1, 'Failure', 'disk full')", id("t"))
	e.exec("update taskrunner.task set run_at = '2100-01-01T00:00:00Z' where name = 't'")
	require.Equal(t, []string{"Attempt 1 failed (disk full); attempt 2 of 3 does not start before 2100-01-01T00:00:00.000Z."}, e.why("t"))

	// Many parents: the others are counted.
	e.tasks("fan")
	e.exec("insert into taskrunner.task (id, name, kind) select md5(n::text)::uuid, 'n' || n, 'k' from generate_series(1, 103) n")
	e.exec("insert into taskrunner.link (parent_id, child_id) select md5(n::text)::uuid, $1 from generate_series(1, 103) n", id("fan"))
	require.Len(t, e.why("fan"), 101)
	require.Equal(t, "It waits for 3 more tasks.", e.why("fan")[100])

	reader := e.sessionAs("reader", e.Login(t, "taskrunner_reader"))
	require.Len(t, reader.run("select * from taskrunner.why($1)", id("fan")), 101)
}

// Every rule that is in the way has a row, with the tasks that hold it.
func TestWhyNamesRules(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	one, work := concurency(1, "k", "p"), capacity(10, "k")
	e.ruled([]string{one, work}, `a {"p": "x"}`, `b {"p": "x"}`)
	require.Equal(t, []string{
		`Rule 1 is the first about tasks of kind "k" with p = "x": it starts as soon as these are counted.`,
		`Rule 2 is the first about tasks of kind "k": it starts as soon as these are counted.`,
	}, e.why("a"))
	e.wakes()
	require.Empty(t, e.why("a"), "its turn is about to come")
	e.exec("update taskrunner.task set expected_count = 12")
	require.Equal(t, []string{"a"}, e.all())
	require.Empty(t, e.why("a"))
	require.Equal(t, []string{
		`Rule 1 lets at most 1 of the tasks of kind "k" with p = "x" be active at once; 1 is: ` + id("a") + ` "a".`,
		`Rule 2 lets it start while active tasks of kind "k" have less than 10 left to do; they have 12: ` + id("a") + ` "a".`,
	}, e.why("b"))
	require.JSONEq(t, fmt.Sprintf(`{"rule": %s, "current": 12, "reason": "limit reached",
		"holders": [{"task_id": %q, "name": "a", "status": "Running"}]}`, work, id("a")),
		e.lines("select detail from taskrunner.why($1)", id("b"))[1])

	e.exec("update taskrunner.task set expected_count = null, metadata = '{\"p\": \"y\"}' where name = 'b'")
	require.Equal(t, []string{`Rule 2 limits the work of tasks of kind "k", but it has no expected_count.`}, e.why("b"))
	require.Equal(t, []string{"expected_count missing"}, e.lines("select detail ->> 'reason' from taskrunner.why($1)", id("b")))
	e.move("b", "Paused")
	require.Len(t, e.why("b"), 2, "paused, and its rule")

	// Of many holders some are named.
	e.counted("m", nil)
	e.exec("insert into taskrunner.task (name, kind, status) select 'n' || n, 'm', 'Pending' from generate_series(1, 8) n")
	e.exec("update taskrunner.task set status = 'Claimed' where kind = 'm'")
	e.exec(insertRuled("m", []string{concurency(7, "m")}, "c"))
	why := e.why("c")
	require.Len(t, why, 1)
	require.Contains(t, why[0], `be active at once; 8 are: `)
	require.Contains(t, why[0], `"n5" and 3 more.`)
	require.Equal(t, "5", e.line("select jsonb_array_length(detail -> 'holders') from taskrunner.why($1)", id("c")))
	require.Len(t, e.sessionAs("reader", e.Login(t, "taskrunner_reader")).run("select * from taskrunner.why($1)", id("c")), 1)
}
