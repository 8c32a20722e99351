package sqltest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Contract 6.3: an ancestor whose children have all ended works for nobody.

const deadEnd = "All child tasks already terminated"

// deadEnds says what batches say that do not: the server's default.
func (e *engine) deadEnds(on bool) {
	e.t.Helper()
	e.exec("update taskrunner_private.server_setting set dead_end_cancel = $1", on)
}

// batchSaying inserts a batch with dead_end_cancel true, false or null, and its tasks.
func (e *engine) batchSaying(says, batch string, names ...string) {
	e.t.Helper()
	e.exec("insert into taskrunner.batch (id, name, dead_end_cancel) values ($1, $2, "+says+")", id(batch), batch)
	e.exec(strings.NewReplacer("(id,", "(batch_id, id,", "('", "('"+id(batch)+"', '").Replace(insertTasks(names...)))
}

// checks are the tasks to be examined.
func (e *engine) checks() []string {
	e.t.Helper()
	return e.lines("select distinct t.name from taskrunner_private.dead_end_check d join taskrunner.task t on t.id = d.task_id order by t.name")
}

const drain = "select canceled from taskrunner_private.drain_dead_ends(100)"

// requireDrained examines what is noted and requires how many tasks that cancels. Living parents of these are left for a
// second look.
func (e *engine) requireDrained(canceled int) {
	e.t.Helper()
	require.Equal(e.t, fmt.Sprint(canceled), e.line(drain))
	require.Equal(e.t, "0", e.line(drain))
	require.Empty(e.t, e.checks())
}

// The worked example of contract 6.2, row c'.
func TestDeadEndOfTheWorkedExample(t *testing.T) {
	t.Parallel()
	for _, says := range []string{"true", "null"} {
		e := setup(t)
		e.batchSaying(says, "b", "build", "unit", "integration", "lint", "deploy")
		e.links("build>unit", "build>integration", "build?lint", "unit>deploy", "integration>deploy", "lint?deploy")
		e.move("build", "Claimed", "Running", "Failure")
		e.requireStates("build: Failure 0/0", "unit: Failure 1/1", "integration: Failure 1/1", "lint: Pending 0/0", "deploy: Failure 3/2")
		if says == "null" {
			require.Empty(t, e.checks(), "off by default")
			e.requireDrained(0)
			continue
		}
		require.Equal(t, []string{"lint"}, e.checks(), "parents of all that ended, if they have not")
		e.requireDrained(1)
		e.requireStates("lint: Canceled 0/0")
		require.Equal(t, deadEnd, e.reason("lint"))
		require.Equal(t, "t|t|t", e.line("select ended_at = last_updated, paused_from is null, started_at is null from taskrunner.task where id = $1", id("lint")))
	}
}

// The candidate's batch decides; the default where it says nothing, and for tasks without a batch. Nothing is noted for others.
func TestDeadEndsAreOnWhereTheBatchOrTheDefaultSaysSo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		by   bool
		want []string
	}{{false, []string{"p-true"}}, {true, []string{"p-none", "p-null", "p-true"}}} {
		e := setup(t)
		e.deadEnds(tc.by)
		e.batchSaying("true", "yes", "p-true")
		e.batchSaying("false", "no", "p-false", "child")
		e.batchSaying("null", "open", "p-null")
		e.tasks("p-none")
		e.links("p-true?child", "p-false?child", "p-null?child", "p-none?child")
		e.exec(call("cancel_task", "child"))
		require.Equal(t, tc.want, e.checks())
		e.requireDrained(len(tc.want))
		for _, name := range []string{"p-true", "p-false", "p-null", "p-none"} {
			want := "Pending 0/0"
			for _, hit := range tc.want {
				if hit == name {
					want = "Canceled 0/0"
				}
			}
			e.requireStates(name + ": " + want)
		}
	}
}

// Every way to end triggers it, but DELETE /batch. While p lives, c waits; so c ends by a cancel, or with x.
func TestWhatTriggersDeadEnds(t *testing.T) {
	t.Parallel()
	running := func(e *engine) { e.move("x", "Claimed", "Running") }
	started := func(e *engine) {
		e.action("x", "Start", "start")
		e.exec("update taskrunner.task set priority = 1 where id = $1", id("x"))
		require.Equal(e.t, []string{"x"}, e.claim("r", 1))
	}
	for name, tc := range map[string]struct {
		before   func(*engine)
		end      func(*engine)
		canceled int // p, or p and x
	}{
		"report of failure": {running, does(finishTask("x", "Failure")), 1},
		"report in a group": {running, does(`select * from taskrunner_private.report_tasks('[{"task_id": "` + id("x") + `", "status": "Failure"}]')`), 1},
		"update":            {running, does(set("Failure", "x")), 1},
		"update of c":       {nil, does(set("Canceled", "c")), 2},
		"delete":            {nil, does(call("cancel_task", "x")), 1},
		"delete of c":       {nil, does(call("cancel_task", "c")), 2},
		"delete of many":    {nil, does("select * from taskrunner.cancel_tasks(array['" + id("x") + "', '" + id("c") + "']::uuid[])"), 1},
		"failed start": {started, func(e *engine) {
			require.Equal(e.t, "Failure", e.failedStart("r", "x", `, "permanent": true`))
		}, 1},
		"timeout": {running, func(e *engine) {
			e.exec("update taskrunner.task set last_updated = now() - interval '1 day' where id = $1", id("x"))
			require.Equal(e.t, "1|0|1", e.line(sweepActive))
		}, 1},
		"success":   {running, does(set("Success", "x")), 0},
		"retry":     {started, func(e *engine) { require.Equal(e.t, "Pending", e.failedStart("r", "x", "")) }, 0},
		"stop of x": {nil, does(call("stop_batch", "bx")), 0},
		"stop of c": {nil, does(call("stop_batch", "bc")), 0},
		"pause":     {nil, does(call("pause_task", "c")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.deadEnds(true)
			e.tasks("p")
			e.batch("bx", "x")
			e.batch("bc", "c")
			e.links("p?c", "x>c")
			if tc.before != nil {
				tc.before(e)
			}
			tc.end(e)
			require.Len(t, e.checks(), tc.canceled)
			e.requireDrained(tc.canceled)
			e.requireStates("p: " + map[bool]string{false: "Pending 0/0", true: "Canceled 0/0"}[tc.canceled > 0])
		})
	}
}

// does runs a statement.
func does(sql string) func(*engine) { return func(e *engine) { e.exec(sql) } }

// A task that is created as Failure triggers it too, whichever way it is created.
func TestTaskCreatedAsFailureTriggersDeadEnds(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("failed", "p", "q")
	e.move("failed", "Canceled")
	e.exec("begin; " + insertTasks("c") + "; " + insertLinks("failed>c", "p?c") + "; commit")
	e.exec("select * from taskrunner.submit_batch($1)", `[{"id": "d", "name": "d", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x", "verb": "Post"}},
		"dependencies": [{"task_id": "`+id("failed")+`", "requires_success": true}, {"task_id": "`+id("q")+`", "requires_success": false}, {"id": "r", "requires_success": true}]},
		{"id": "r", "name": "r", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x", "verb": "Post"}}}]`)
	require.Equal(t, []string{"p", "q", "r"}, e.checks())
	e.requireDrained(3)
}

// From every state that has not ended; cancel actions of what was contacted, and on_failure (contract 8.8).
func TestDeadEndFromEveryState(t *testing.T) {
	t.Parallel()
	for state, tc := range map[string]struct {
		to        []string
		contacted bool
	}{
		"Waiting": {nil, false}, "Pending": {nil, false}, "Claimed": {[]string{"Claimed"}, true}, "Running": {[]string{"Claimed", "Running"}, true},
		"paused from Pending": {[]string{"Paused"}, false}, "paused from Claimed": {[]string{"Claimed", "Paused"}, true},
		"paused from Running": {[]string{"Claimed", "Running", "Paused"}, true},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.batchSaying("true", "b", "above", "p", "c")
			for _, trigger := range []string{"Success", "Failure", "Cancel"} {
				e.action("p", trigger, strings.ToLower(trigger))
			}
			e.links("p>c")
			if state == "Waiting" {
				e.links("above>p")
			}
			e.move("p", tc.to...)
			e.exec(call("cancel_task", "c"))
			e.exec("update taskrunner.batch set dead_end_cancel = null") // the setting is that of the event
			e.requireDrained(1)
			require.Equal(t, "Canceled|t|t", e.line("select status, paused_from is null, ended_at is not null from taskrunner.task where id = $1", id("p")))
			require.Equal(t, deadEnd, e.reason("p"))
			want := []string{"end:failure failure Pending"}
			if tc.contacted {
				want = append([]string{"cancel cancel Pending"}, want...)
			}
			require.Equal(t, want, e.deliveries("p"))
		})
	}
}

// The walk goes up until somebody has a child that lives; a paused child lives.
func TestDeadEndsGoUpwards(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("top", "left", "right", "low", "paused", "c")
	e.links("top>left", "top>right", "left>low", "right>low", "right?paused", "low>c")
	e.exec(call("pause_task", "paused"))
	e.exec(call("cancel_task", "c"))
	e.requireDrained(2)
	e.requireStates("low: Canceled 2/2", "left: Canceled 1/1", "right: Waiting 1/1", "top: Pending 0/0", "paused: Paused 1/0 from Waiting")
	e.exec(call("cancel_task", "paused"))
	e.requireDrained(2)
	e.requireStates("right: Canceled 1/1", "top: Canceled 0/0")
}

// A barrier stops the walk through itself only where dead-end detection canceled it; it is canceled like any other.
func TestDeadEndBarrier(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"dead end", "delete", "cascade"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.deadEnds(true)
			e.exec("begin; " + strings.NewReplacer(", kind)", ", kind, dead_end_barrier)", "'k')", "'k', true)").Replace(insertTasks("barrier")) + "; " +
				insertTasks("above", "x", "c") + "; " + insertLinks("above>barrier", "x>barrier", "barrier>c") + "; commit")
			switch by {
			case "dead end":
				e.exec(call("cancel_task", "c"))
				e.requireDrained(1)
				e.requireStates("barrier: Canceled 2/2", "above: Pending 0/0", "x: Pending 0/0")
			case "delete":
				e.exec(call("cancel_task", "barrier"))
				e.requireDrained(2)
				e.requireStates("above: Canceled 0/0", "x: Canceled 0/0")
			case "cascade":
				e.exec(call("cancel_task", "x"))
				e.requireDrained(1)
				e.requireStates("above: Canceled 0/0", "barrier: Failure 2/2")
			}
		})
	}
}

// A bounded run leaves the rest for the next one.
func TestDeadEndsInChunks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("a", "b", "c", "d", "e")
	e.links("a>b", "b>c", "c>d", "d>e")
	e.exec(call("cancel_task", "e"))
	for range 2 {
		require.Equal(t, "2|2", e.line("select examined, canceled from taskrunner_private.drain_dead_ends(2)"))
	}
	require.Equal(t, "0|0", e.line("select examined, canceled from taskrunner_private.drain_dead_ends(2)"))
	e.requireStates("a: Canceled 0/0")
}

// The last two children end in parallel: the parent is canceled once, after both.
func TestLastTwoChildrenEndInParallel(t *testing.T) {
	t.Parallel()
	for _, between := range []bool{true, false} {
		e := setup(t)
		e.deadEnds(true)
		e.tasks("p", "c", "d")
		e.action("p", "Failure", "failure")
		e.links("p>c", "p>d")
		first, second := e.pair()
		first.script("begin; " + call("cancel_task", "c"))
		second.script("begin; " + call("cancel_task", "d"))
		first.run(commit)
		if between {
			e.requireDrained(0)
			e.requireStates("p: Pending 0/0")
		}
		second.run(commit)
		e.requireDrained(1)
		e.requireDrained(0)
		e.requireStates("p: Canceled 0/0")
		require.Equal(t, []string{"end:failure failure Pending"}, e.deliveries("p"))
	}
}

// Two drains cancel the last two children in parallel: neither sees what the other does, and the parent is canceled after both.
func TestLastTwoChildrenAreDeadEndsInParallel(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("p", "c", "d")
	e.links("p>c", "p>d")
	e.tasks("x", "y")
	e.links("c>x", "d>y")
	first, second := e.pair()
	e.exec(call("cancel_task", "x"))
	first.script("begin")
	require.Equal(t, []string{"1"}, first.run(drain))
	e.exec(call("cancel_task", "y"))
	second.script("begin")
	require.Equal(t, []string{"1"}, second.run(drain))
	second.run(commit)
	require.Equal(t, "0", e.line(drain))
	first.run(commit)
	e.requireStates("c: Canceled 1/1", "d: Canceled 1/1", "p: Pending 0/0")
	e.requireDrained(1)
	e.requireStates("p: Canceled 0/0")
	e.requireDrained(0)
}

// A link added before the candidate is examined saves it, also one whose transaction is open then.
func TestLinkSavesADeadEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  string
		want string
		code string
	}{
		"committed": {commit, "Pending 0/0", ""}, "taken back": {rollback, "Canceled 0/0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.deadEnds(true)
			e.tasks("p", "c", "new")
			e.links("p>c")
			e.exec(call("cancel_task", "c"))
			first, _ := e.pair()
			first.script("begin; " + insertLinks("p>new"))
			require.Equal(t, "0|0", e.line("select examined, canceled from taskrunner_private.drain_dead_ends(100)"), "busy")
			require.Equal(t, []string{"p"}, e.checks())
			first.run(tc.end)
			if tc.end == commit {
				e.requireDrained(0)
			} else {
				e.requireDrained(1)
			}
			e.requireStates("p: " + tc.want)
		})
	}
}

// A link that waits for the candidate finds it ended: the child follows a canceled parent.
func TestLinkToADeadEndThatIsBeingCanceled(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("p", "c", "new", "optional")
	e.links("p>c")
	e.exec(call("cancel_task", "c"))
	first, second := e.pair()
	first.script("begin; " + drain)
	waits := second.begins(insertLinks("p>new", "p?optional"))
	first.run(commit)
	e.requireEnds(waits)
	e.requireStates("p: Canceled 0/0", "new: Failure 0/0", "optional: Pending 0/0")
	require.Equal(t, failed("p"), e.reason("new"))
}

// A candidate that somebody holds keeps its check and holds nobody up; nor does the drain wait.
func TestBusyCandidateKeepsItsCheck(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("p", "q", "c")
	e.links("p>c", "q>c")
	first, second := e.pair()
	first.script("begin; update taskrunner.task set priority = 5 where id = '" + id("p") + "'")
	e.exec(call("cancel_task", "c"))
	require.Equal(t, "1|1", e.line("select examined, canceled from taskrunner_private.drain_dead_ends(100)"))
	e.requireStates("p: Pending 0/0", "q: Canceled 0/0")
	require.Equal(t, []string{"p"}, e.checks())
	first.run(commit)
	second.script("begin; " + drain)
	require.Equal(t, "0|0", e.line("select examined, canceled from taskrunner_private.drain_dead_ends(100)"), "two at once do not meet")
	second.run(rollback)
	require.Equal(t, []string{"p"}, e.checks(), "what a drain has not committed is still to do")
	e.requireDrained(1)
}

// A sleeping replica is told.
func TestDeadEndsWakeTheChores(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.deadEnds(true)
	e.tasks("p", "c")
	e.links("p>c")
	listener := e.session("listener")
	listener.run("listen taskrunner")
	e.exec("select * from taskrunner_private.tick($1, 'r', 'test', 10, true)", id("r"))
	e.keepAlive("r")
	e.exec(call("cancel_task", "c"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := listener.WaitForNotification(ctx)
	require.NoError(t, err)
	require.Equal(t, "chores", n.Payload)
	require.Equal(t, "{drain_dead_ends}", e.line("select due_chores from taskrunner_private.tick($1, 'r', 'test', 10, true)", id("r")))
	e.requireDrained(1)
}
