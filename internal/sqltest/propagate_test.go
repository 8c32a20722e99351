package sqltest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestWorkedExample plays the table of the contract's section 6.2, every branch on a graph of its own.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	e := setup(t)
	// on names the tasks of one graph: name is its prefix.
	create := func(graph string) (on func(string) string) {
		on = func(task string) string { return graph + " " + task }
		e.batch(graph, on("build"), on("unit"), on("integration"), on("lint"), on("deploy"))
		e.links(on("build")+">"+on("unit"), on("build")+">"+on("integration"), on("build")+"?"+on("lint"),
			on("unit")+">"+on("deploy"), on("integration")+">"+on("deploy"), on("lint")+"?"+on("deploy"))
		e.requireStates(on("build")+": Pending 0/0", on("unit")+": Waiting 1/1", on("integration")+": Waiting 1/1",
			on("lint")+": Waiting 1/0", on("deploy")+": Waiting 3/2")
		return on
	}
	untilUnit := func(on func(string) string) {
		e.move(on("build"), "Claimed", "Running", "Success")
		e.requireStates(on("unit")+": Pending 0/0", on("integration")+": Pending 0/0", on("lint")+": Pending 0/0",
			on("deploy")+": Waiting 3/2")
		e.move(on("lint"), "Claimed", "Running", "Failure")
		e.requireStates(on("lint")+": Failure 0/0", on("deploy")+": Waiting 2/2")
		e.move(on("unit"), "Claimed", "Running", "Success")
		e.requireStates(on("deploy") + ": Waiting 1/1")
		e.move(on("integration"), "Claimed", "Running")
	}

	on := create("a")
	untilUnit(on)
	e.move(on("integration"), "Success")
	e.requireStates(on("integration")+": Success 0/0", on("deploy")+": Pending 0/0")

	on = create("b")
	untilUnit(on)
	e.move(on("integration"), "Failure")
	e.requireStates(on("integration")+": Failure 0/0", on("deploy")+": Failure 1/1")
	require.Equal(t, failed(on("integration")), e.reason(on("deploy")))

	on = create("c")
	e.move(on("build"), "Claimed", "Running", "Failure")
	e.requireStates(on("build")+": Failure 0/0", on("unit")+": Failure 1/1", on("integration")+": Failure 1/1",
		on("lint")+": Pending 0/0", on("deploy")+": Failure 3/2")
	require.Equal(t, failed(on("unit")), e.reason(on("deploy")))
	require.Equal(t, failed(on("build")), e.reason(on("unit")))
	require.Equal(t, failed(on("build")), e.reason(on("integration")))

	on = create("d")
	e.line("select status from taskrunner.cancel_task($1)", id(on("lint")))
	e.requireStates(on("build")+": Pending 0/0", on("unit")+": Waiting 1/1", on("integration")+": Waiting 1/1",
		on("lint")+": Canceled 1/0", on("deploy")+": Waiting 2/2")
}

// Cascade failures leave last_updated untouched, as promotions do; the end has a time.
func TestPropagationWritesNoSignOfLife(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("p", "fails", "runs")
	e.links("p>fails", "p?runs")
	e.move("p", "Claimed", "Failure")
	require.Equal(t, "t|t|t", e.line(`select last_updated = created_at, ended_at > created_at, started_at is null
		from taskrunner.task where name = 'fails'`))
	require.Equal(t, "Pending|t|t", e.line(`select status, last_updated = created_at, ended_at is null
		from taskrunner.task where name = 'runs'`))
}

// Several required parents that fail in one step: the reason names the one inserted first, however the step came about.
func TestReasonNamesFirstInsertedParent(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("zero", "p1", "p2", "p3", "c", "d")
	e.links("p3>c", "p1>c", "p2>c", "zero?c")
	e.move("p1", "Claimed")
	e.move("p2", "Claimed")
	e.move("p3", "Claimed")
	e.exec("update taskrunner.task set status = 'Failure' where name in ('p3', 'p2', 'p1')")
	require.Equal(t, failed("p1"), e.reason("c"))
	e.requireStates("c: Failure 4/3")

	// A parent that fails by cascade stands against one that fails itself.
	e.tasks("early", "late", "child")
	e.links("late>early", "late>child", "early>child")
	e.move("late", "Claimed", "Failure")
	require.Equal(t, failed("late"), e.reason("early"))
	require.Equal(t, failed("early"), e.reason("child"), "early was inserted before late")

	// An optional parent is no reason, even if it came first.
	e.tasks("optional", "required", "third")
	e.links("optional?third", "required>third")
	e.move("optional", "Claimed")
	e.move("required", "Claimed")
	e.exec(set("Failure", "optional", "required"))
	require.Equal(t, failed("required"), e.reason("third"))
}

func TestPausedTasksFollowTheirParents(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("p", "q", "waits", "fails", "optional", "was pending")
	e.links("p>waits", "q>waits", "p>fails", "p?optional")
	for _, name := range []string{"waits", "fails", "optional", "was pending"} {
		e.line("select status from taskrunner.pause_task($1)", id(name))
	}
	e.requireStates("waits: Paused 2/2 from Waiting", "was pending: Paused 0/0 from Pending")

	e.move("q", "Claimed", "Success")
	e.requireStates("waits: Paused 1/1 from Waiting")
	require.Equal(t, "Waiting", e.line("select status from taskrunner.resume_task($1)", id("waits")))
	e.line("select status from taskrunner.pause_task($1)", id("waits"))

	e.move("p", "Claimed", "Failure")
	e.requireStates("waits: Failure 1/1", "fails: Failure 1/1", "optional: Paused 0/0 from Waiting")
	require.Equal(t, failed("p"), e.reason("fails"))
	require.Empty(t, e.claim("r", 10), "counted down to nothing, but still held")
	require.Equal(t, "Pending", e.line("select status from taskrunner.resume_task($1)", id("optional")))
	require.Equal(t, []string{"optional"}, e.claim("r", 10))
}

// Optional links through a failed task keep the way below open; required ones close it.
func TestDiamonds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		links []string
		end   string
		want  []string
	}{
		{"required sides, success", []string{"a>b", "a>c", "b>d", "c>d"}, "Success", []string{"b: Pending 0/0", "c: Pending 0/0", "d: Waiting 2/2"}},
		{"required sides, failure", []string{"a>b", "a>c", "b>d", "c>d"}, "Failure", []string{"b: Failure 1/1", "c: Failure 1/1", "d: Failure 2/2"}},
		{"required sides, canceled", []string{"a>b", "a>c", "b>d", "c>d"}, "Canceled", []string{"b: Failure 1/1", "c: Failure 1/1", "d: Failure 2/2"}},
		{"optional into d", []string{"a>b", "a>c", "b?d", "c?d"}, "Failure", []string{"b: Failure 1/1", "c: Failure 1/1", "d: Pending 0/0"}},
		{"one side optional", []string{"a>b", "a?c", "b?d", "c>d"}, "Failure", []string{"b: Failure 1/1", "c: Pending 0/0", "d: Waiting 1/1"}},
		{"one side fails d", []string{"a>b", "a?c", "b>d", "c?d"}, "Failure", []string{"b: Failure 1/1", "c: Pending 0/0", "d: Failure 2/1"}},
		{"short cut, optional", []string{"a>b", "b?c", "c>d", "a?d"}, "Failure", []string{"b: Failure 1/1", "c: Pending 0/0", "d: Waiting 1/1"}},
		{"short cut, required", []string{"a?b", "b?c", "c>d", "a>d"}, "Failure", []string{"b: Pending 0/0", "c: Waiting 1/0", "d: Failure 2/2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("a", "b", "c", "d")
			e.links(tc.links...)
			e.move("a", "Claimed", tc.end)
			e.requireStates(tc.want...)
		})
	}
}

// One UPDATE of many rows is applied to all of them first, then propagated.
func TestMultiRowUpdate(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b", "c", "both", "chain1", "chain2", "chain3")
	e.links("a>both", "b>both", "c?both", "chain1>chain2", "chain2>chain3")
	e.move("a", "Claimed")
	e.move("b", "Claimed")
	e.move("c", "Claimed")
	e.exec(`update taskrunner.task set status = case name when 'c' then 'Failure' else 'Success' end::taskrunner.status_kind
		where name in ('a', 'b', 'c')`)
	e.requireStates("both: Pending 0/0")
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.queued_task where task_id = $1 and state = 'ready'", id("both")))

	// Parent and child in one statement: the child is Canceled, not failed by its parent; its own child fails.
	e.exec(set("Canceled", "chain1", "chain2"))
	e.requireStates("chain1: Canceled 0/0", "chain2: Canceled 1/1", "chain3: Failure 1/1")
	require.Equal(t, failed("chain2"), e.reason("chain3"))
	require.Equal(t, "Canceled", e.reason("chain2"))

	// One illegal row, and nothing has happened.
	e.tasks("x", "y", "z")
	e.links("x>z")
	e.move("x", "Claimed")
	e.fails("TR001", set("Success", "x", "y"))
	e.requireStates("x: Claimed 0/0", "y: Pending 0/0", "z: Waiting 1/1")

	// Two parts of one statement end two parents of one child.
	e.tasks("l", "r", "join")
	e.links("l>join", "r>join")
	e.move("l", "Claimed")
	e.move("r", "Claimed")
	e.exec("with one as (" + set("Success", "l") + ") " + set("Success", "r"))
	e.requireStates("join: Pending 0/0")
}

func TestAcrossBatches(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b1", "p", "q")
	e.batch("b2", "c", "d")
	e.tasks("none")
	e.links("p>c", "c>d", "d>none", "q?d")
	e.requireStates("d: Waiting 2/1")
	e.move("q", "Claimed", "Success")
	e.requireStates("d: Waiting 1/1")
	e.move("p", "Claimed", "Failure")
	e.requireStates("c: Failure 1/1", "d: Failure 1/1", "none: Failure 1/1")
	require.Equal(t, failed("d"), e.reason("none"))
}

// A batch stop cancels all that has not ended, counts by state, and is seen by other batches only.
func TestStopBatch(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "done", "pending", "claimed", "running", "waiting", "paused", "held", "inner")
	e.batch("other", "required", "optional", "below", "untouched")
	e.links("running>waiting", "running>inner", "waiting>inner", "running>required", "running?optional", "required>below",
		"required?untouched", "below>inner")
	for _, name := range []string{"done", "claimed", "running", "held"} {
		e.action(name, "Cancel", "cancel-"+name)
	}
	for _, name := range []string{"pending", "running", "inner", "required", "below"} {
		e.action(name, "Failure", "failure-"+name)
	}
	e.move("done", "Claimed", "Success")
	e.move("claimed", "Claimed")
	e.move("running", "Claimed", "Running")
	e.move("held", "Claimed", "Running", "Paused")
	e.move("paused", "Paused")

	stop := "select canceled_waiting, canceled_pending, canceled_claimed, canceled_running, canceled_paused, already_terminal from taskrunner.stop_batch($1)"
	require.Equal(t, "2|1|1|1|2|1", e.line(stop, id("b")))
	require.Equal(t, []string{"7|Canceled|Batch stopped|t|t|t"}, e.lines(`
		select count(*), status, failure_reason, bool_and(ended_at is not null), bool_and(last_updated = ended_at), bool_and(paused_from is null)
		from taskrunner.task where batch_id = $1 and name <> 'done' group by status, failure_reason`, id("b")))
	e.requireStates("done: Success 0/0", "required: Failure 1/1", "optional: Pending 0/0", "below: Failure 1/1", "untouched: Pending 0/0",
		"inner: Canceled 3/3")
	require.Equal(t, failed("running"), e.reason("required"))
	require.Equal(t, failed("required"), e.reason("below"))

	// Cancel actions of contacted tasks; on_failure in the other batch only.
	require.Equal(t, []string{"cancel-claimed", "cancel-held", "cancel-running", "failure-below", "failure-required"},
		e.lines("select substr(url, 27) from taskrunner.delivery order by 1"))

	require.Equal(t, "0|0|0|0|0|8", e.line(stop, id("b")), "again: nothing left to cancel")
	e.fails("TR002", stop, id("no such batch"))
	e.exec("insert into taskrunner.batch (id) values ($1)", id("empty"))
	require.Equal(t, "0|0|0|0|0|0", e.line(stop, id("empty")))
}

// chainLength is the length of the chain that one failure ends.
const chainLength = 100_000

// A required chain of 100,000 tasks fails from its root in one transaction, without recursion and in seconds.
func TestLongChain(t *testing.T) { // alone, because what it logs is compared
	e := setup(t)
	// Loaded as a client would, but for the ids, which are counted. How long that takes tells how busy the machine was.
	began := time.Now()
	e.exec(`
		insert into taskrunner.batch (id, name) values ('00000000-0000-4000-8000-000000000000', 'chain');
		insert into taskrunner.task (id, batch_id, name, kind)
		select ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-4000-8000-000000000000', 'n' || n, 'k'
		from generate_series(1, $1) n order by n;
		insert into taskrunner.link (parent_id, child_id, requires_success)
		select ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, ('00000000-0000-4000-9000-' || lpad((n + 1)::text, 12, '0'))::uuid, true
		from generate_series(1, $1 - 1) n`, chainLength)
	loading := time.Since(began)
	s := e.session("root")
	s.run("update taskrunner.task set status = 'Claimed' where name = 'n1'")
	began = time.Now()
	s.run("update taskrunner.task set status = 'Failure' where name = 'n1'")
	took := time.Since(began)
	t.Logf("a chain of %d tasks was loaded in %s and failed in %s", chainLength, loading.Round(time.Millisecond), took.Round(time.Millisecond))
	require.Less(t, took, 2*time.Minute, "4 s on an idle machine; a step for each task would take hours")
	require.Equal(t, fmt.Sprintf("%d|%d|%d", chainLength, chainLength, chainLength-1), e.line(`
		select count(*) filter (where status = 'Failure'), count(ended_at),
			count(*) filter (where failure_reason = 'Required parent task 00000000-0000-4000-9000-' || lpad((substr(name, 2)::integer - 1)::text, 12, '0') || ' failed')
		from taskrunner.task`))
}

// fanIn is how many parents end at once for one child.
const fanIn = 10_000

// Parents ending from several connections, by direct UPDATE and by finish_tasks, bring a child's counters to exactly 0
// and queue it once.
func TestFanIn(t *testing.T) {
	const connections = 8
	e := setup(t)
	e.tasks("child")
	e.exec(`
		insert into taskrunner.task (name, kind) select 'p' || n, 'p' from generate_series(1, $1) n;
		update taskrunner.task set status = 'Claimed' where kind = 'p'`, fanIn)
	e.exec(`insert into taskrunner.link select id, $1, seq % 2 = 0 from taskrunner.task where kind = 'p'`, id("child"))
	require.Equal(t, fmt.Sprintf("Waiting %d/%d", fanIn, fanIn/2), e.state("child"))

	// Required parents succeed, the others end in each way.
	work := make(chan []string)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var workers sync.WaitGroup
	errs := make([]error, connections)
	for i := range connections {
		s := e.session(fmt.Sprint("worker ", i))
		workers.Go(func() {
			for batch := range work {
				if errs[i] != nil {
					continue
				}
				errs[i] = endParents(ctx, s.Conn, batch, i)
			}
		})
	}
	all := e.lines("select id || '|' || (seq % 2 = 0) from taskrunner.task where kind = 'p' order by random()")
	for len(all) > 0 {
		n := min(1+len(all)%37, len(all))
		work <- all[:n]
		all = all[n:]
	}
	close(work)
	workers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}

	e.requireStates("child: Pending 0/0")
	require.Equal(t, "1|ready", e.line("select count(*), min(state) from taskrunner_private.queued_task"))
	require.Equal(t, []string{"child"}, e.claim("r", 10))
	require.Empty(t, e.claim("r", 10))
	require.Equal(t, "0", e.line("select count(*) from taskrunner.task where kind = 'p' and status not in ('Success', 'Failure', 'Canceled')"))
}

// endParents ends parents, each given as "<id>|<required>": one by a direct UPDATE of its own transaction, the others by
// the array functions.
func endParents(ctx context.Context, conn *pgx.Conn, parents []string, n int) error {
	var required, optional []string
	for _, parent := range parents {
		if taskID := parent[:36]; parent[37:] == "true" {
			required = append(required, taskID)
		} else {
			optional = append(optional, taskID)
		}
	}
	if len(required) > 0 {
		if _, err := conn.Exec(ctx, "update taskrunner.task set status = 'Success' where id = $1", required[0]); err != nil {
			return fmt.Errorf("update: %w", err)
		}
		if _, err := conn.Exec(ctx, "select taskrunner.finish_tasks($1, 'Success')", required[1:]); err != nil {
			return fmt.Errorf("finish required: %w", err)
		}
	}
	statement := "select taskrunner.finish_tasks($1, 'Failure')"
	if n%2 == 0 {
		statement = "select taskrunner.cancel_tasks($1)"
	}
	if _, err := conn.Exec(ctx, statement, optional); err != nil {
		return fmt.Errorf("end optional: %w", err)
	}
	return nil
}
