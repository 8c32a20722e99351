package sqltest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// claimSQL claims for a replica in a session of its own.
func claimSQL(replica string, n string) string {
	return "select t.name from taskrunner_private.claim_tasks('" + id(replica) + "', " + n + ", 30, '{}', '{}', true) c join taskrunner.task t on t.id = c.task_id order by t.seq"
}

func TestClaimAndCancel(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("t", "u", "v", "w")
	for _, task := range []string{"t", "u", "v", "w"} {
		e.action(task, "Start", "start")
		e.action(task, "Cancel", "cancel")
	}
	first, second := e.pair()

	// Claimed first: the cancel comes after it, and calls the cancel action.
	first.script("begin")
	require.Equal(t, []string{"t"}, first.run(claimSQL("r", "1")))
	waits := second.begins(call("cancel_task", "t"))
	first.run(commit)
	e.requireEnds(waits)
	require.Equal(t, []string{"cancel cancel Pending"}, e.deliveries("t"))

	// Claim taken back.
	first.script("begin")
	require.Equal(t, []string{"u"}, first.run(claimSQL("r", "1")))
	waits = second.begins(call("cancel_task", "u"))
	first.run(rollback)
	e.requireEnds(waits)
	require.Empty(t, e.deliveries("u"))

	// Canceled or paused first: the claim takes the next one and does not wait.
	first.script("begin; " + set("Canceled", "v"))
	require.Equal(t, []string{"w"}, second.run(claimSQL("r", "5")))
	require.Empty(t, second.run(claimSQL("r", "5")))
	first.run(rollback)
	require.Equal(t, []string{"v"}, second.run(claimSQL("r", "5")), "what was left out is still there")
	e.requireStates("t: Canceled 0/0", "u: Canceled 0/0", "v: Claimed 0/0", "w: Claimed 0/0")
}

func TestClaimAndClaim(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b", "c")
	for _, task := range []string{"a", "b", "c"} {
		e.action(task, "Start", "start")
	}
	first, second := e.pair()
	first.script("begin")
	require.Equal(t, []string{"a", "b"}, first.run(claimSQL("r", "2")))
	require.Equal(t, []string{"c"}, second.run(claimSQL("s", "2")))
	first.run(rollback)
	require.Equal(t, []string{"a", "b"}, second.run(claimSQL("s", "2")))

	// A worker in SQL against a replica, both ways.
	e.tasks("d", "e")
	e.action("d", "Start", "start")
	e.action("e", "Start", "start")
	first.script("begin; " + set("Claimed", "d"))
	require.Equal(t, []string{"e"}, second.run(claimSQL("s", "2")))
	first.run(commit)
	require.Empty(t, second.run(claimSQL("s", "2")))
	e.tasks("f")
	e.action("f", "Start", "start")
	first.script("begin")
	require.Equal(t, []string{"f"}, first.run(claimSQL("r", "1")))
	waits := second.begins(set("Claimed", "f"))
	first.run(commit)
	require.NoError(t, ends(t, waits).err, "the same status is no change")
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.active_task where task_id = $1 and replica_id = $2", id("f"), id("r")))
}

// A claim of which nobody heard may still be open when its replica asks for what it does not know of. It goes back when it has ended.
func TestClaimThatCommitsLate(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b", "c")
	for _, task := range []string{"a", "b", "c"} {
		e.action(task, "Start", "start")
	}
	giveBack := func(replica string, kept ...string) string {
		return "select coalesce(given_back, -1) from taskrunner_private.give_back_claims('" + id(replica) + "', array['" + strings.Join(ids(kept...), "', '") + "']::uuid[])"
	}
	first, second := e.pair()
	require.Equal(t, []string{"a"}, second.run(claimSQL("r", "1")))
	first.script("begin")
	require.Equal(t, []string{"b"}, first.run(claimSQL("r", "1")))
	require.Equal(t, []string{"-1"}, second.run(giveBack("r", "a")))
	require.Equal(t, []string{"0"}, second.run(giveBack("s", "a")), "another replica's")
	require.Equal(t, []string{"c"}, second.run(claimSQL("r", "1")), "it works on meanwhile")
	first.run(commit)
	require.Equal(t, []string{"1"}, second.run(giveBack("r", "a", "c")))
	e.requireStates("a: Claimed 0/0", "b: Pending 0/0", "c: Claimed 0/0")

	// A claim waits until what it does not know of has gone back.
	first.script("begin")
	require.Equal(t, []string{"2"}, first.run(giveBack("r", "b")))
	waits := second.begins(claimSQL("r", "3"))
	first.run(commit)
	require.Equal(t, []string{"a", "b", "c"}, e.requireEnds(waits))
}

// The same for deliveries: a lease that its replica knows of stays, whatever else goes back, so nobody sends it a second time.
func TestLeaseThatCommitsLate(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, task := range []string{"a", "b", "c"} {
		e.tasks(task)
		e.action(task, "End", task)
		e.move(task, "Claimed", "Running", "Success")
	}
	lease := func(replica, n string) string {
		return "select t.name from taskrunner_private.claim_deliveries('" + id(replica) + "', " + n + ", 100, '-infinity', true) d join taskrunner.task t on t.id = d.task_id order by 1"
	}
	giveBack := func(replica string, kept ...string) string {
		return "select coalesce(taskrunner_private.give_back_deliveries('" + id(replica) + "', array(select d.id from taskrunner_private.delivery d join taskrunner.task t on t.id = d.task_id where t.name in ('" +
			strings.Join(kept, "', '") + "'))), -1)"
	}
	first, second := e.pair()
	require.Equal(t, []string{"a"}, second.run(lease("r", "1")))
	first.script("begin")
	require.Equal(t, []string{"b"}, first.run(lease("r", "1")))
	require.Equal(t, []string{"-1"}, second.run(giveBack("r", "a")))
	require.Equal(t, []string{"c"}, second.run(lease("s", "9")))
	first.run(commit)
	require.Empty(t, second.run(lease("s", "9")), "leased, and nobody knows")
	require.Equal(t, []string{"1"}, second.run(giveBack("r", "a")), "neither its own that it knows of, nor another's")
	require.Equal(t, []string{"b"}, second.run(lease("s", "9")))
	require.Equal(t, []string{"0"}, second.run(giveBack("r", "a")))
}

// A parent's end and a claim: the child can be claimed when the end is committed, never before.
func TestClaimAndComplete(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("p", "c")
	e.links("p>c")
	e.move("p", "Claimed", "Running")
	first, second := e.pair()
	first.script("begin; " + set("Success", "p"))
	require.Empty(t, second.run(claimSQL("r", "5")))
	first.run(commit)
	require.Equal(t, []string{"c"}, second.run(claimSQL("r", "5")))
	// A link to a task that is being claimed comes too late; a link in progress keeps it from being claimed.
	e.tasks("d", "q")
	e.exec("update taskrunner.task set priority = 9 where id = $1", id("d"))
	first.script("begin")
	require.Equal(t, []string{"d"}, first.run(claimSQL("r", "1")))
	waits := second.begins(insertLinks("q?d"))
	first.run(commit)
	code := codeOf(ends(t, waits).err)
	if code == "40001" {
		code = codeOf(second.repeated(insertLinks("q?d")))
	}
	require.Equal(t, "TR001", code)
	e.tasks("e")
	first.script("begin; " + insertLinks("q?e"))
	require.Empty(t, second.run(claimSQL("r", "5")), "both ends of the link are held")
	first.run(commit)
	require.Equal(t, []string{"q"}, second.run(claimSQL("r", "5")))
	e.requireStates("e: Waiting 1/0")
}

// A sign of life that commits before the sweep looks wins; one that comes later finds the task ended.
func TestSweepAndHeartbeat(t *testing.T) {
	t.Parallel()
	e := setup(t)
	overdue := func(task string) {
		e.tasks(task)
		e.move(task, "Claimed", "Running")
		e.exec("update taskrunner.task set last_updated = last_updated - interval '61 seconds' where id = $1", id(task))
	}
	// A sweep looks at what it could not have a second later; now means then.
	again := func() { e.exec("update taskrunner_private.active_task set due_at = now() - interval '1 second'") }
	progress := func(task string) string { return "select taskrunner.add_progress('" + id(task) + "', 1, 0)" }
	first, second := e.pair()
	overdue("lives")
	overdue("dies")
	first.script("begin; " + progress("lives"))
	require.Equal(t, []string{"1|0|2"}, second.run(sweepActive), "one that is held does not stop the others")
	e.requireStates("lives: Running 0/0", "dies: Failure 0/0")
	first.run(commit)
	again()
	require.Equal(t, []string{"0|0|1"}, second.run(sweepActive))
	e.requireStates("lives: Running 0/0")

	overdue("late")
	first.script("begin")
	require.Equal(t, []string{"1|0|1"}, first.run(sweepActive))
	waits := second.begins(progress("late"))
	first.run(commit)
	e.requireEnds(waits)
	require.Equal(t, "Failure|1|Timeout", e.line("select status, success, failure_reason from taskrunner.task where id = $1", id("late")), "progress counts in every state")

	overdue("patched")
	first.script("begin")
	require.Equal(t, []string{"1|0|1"}, first.run(sweepActive))
	waits = second.begins(`select outcome, current_status from taskrunner_private.report_tasks('[{"task_id": "` + id("patched") + `"}]')`)
	first.run(commit)
	require.Equal(t, []string{"state|Failure"}, e.requireEnds(waits))

	// Completed while the sweep looks: the report waits and is refused; the other way round the sweep does not see it.
	overdue("done")
	first.script("begin; " + set("Success", "done"))
	require.Equal(t, []string{"0|0|0"}, second.run(sweepActive))
	first.run(commit)
	e.requireStates("done: Success 0/0")
	// A child that somebody holds keeps its parent from failing, without anybody waiting.
	overdue("parent")
	e.tasks("child")
	e.links("parent>child")
	first.script("begin; update taskrunner.task set priority = 1 where id = '" + id("child") + "'")
	require.Equal(t, []string{"0"}, second.run("select timed_out from taskrunner_private.sweep_active(100, 30)"))
	first.run(commit)
	again()
	require.Equal(t, []string{"1"}, second.run("select timed_out from taskrunner_private.sweep_active(100, 30)"))
	e.requireStates("child: Failure 1/1")
	require.Equal(t, "1", e.line("select priority from taskrunner.task where id = $1", id("child")))
}

// However many due tasks somebody holds or has ended in an open transaction, those behind them get their turn.
func TestSweepPassesHeldTasks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	tasks := strings.Fields("a b c d e f last")
	for _, task := range tasks {
		e.tasks(task)
		e.move(task, "Claimed", "Running")
		e.exec("update taskrunner.task set last_updated = last_updated - interval '61 seconds' where id = $1", id(task))
	}
	first, second := e.pair()
	first.script("begin; " + set("Success", "a", "b", "c") + "; update taskrunner.task set priority = 1 where id = any('{" +
		id("d") + "," + id("e") + "," + id("f") + "}')")
	const sweep = "select timed_out from taskrunner_private.sweep_active(2, 30)"
	require.Equal(t, []string{"0"}, second.run(sweep), "d and e are put off")
	require.Equal(t, []string{"1"}, second.run(sweep), "f is put off, and the last one is reached")
	first.run(commit)
	e.requireStates("last: Failure 0/0", "a: Success 0/0", "d: Running 0/0")
}

// A task is deleted while its delivery is being settled: both lock the delivery first.
func TestSettleAndDelete(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a")
	e.exec("insert into taskrunner.action (task_id, trigger, params) values ($1, 'End', '{\"url\": \"http://x/\", \"verb\": \"Get\"}')", id("a"))
	e.move("a", "Claimed", "Success")
	first, second := e.pair()
	first.script("begin; select from taskrunner_private.delivery for no key update") // as settle_deliveries begins
	waits := second.begins("delete from taskrunner.task where id = '" + id("a") + "'")
	first.run("delete from taskrunner_private.due_delivery")
	first.run(commit)
	e.requireEnds(waits)
	require.Equal(t, "0|0", e.line("select (select count(*) from taskrunner_private.delivery), (select count(*) from taskrunner_private.due_delivery)"))
}

// Two replicas sweep at once: each task goes back once.
func TestSweepAndSweep(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("dead")
	e.claimed("a", "dead")
	e.claimed("b", "dead")
	e.exec("update taskrunner_private.replica set heartbeat_at = now() - interval '1 minute'")
	sweep := "select replicas, requeued from taskrunner_private.sweep_replicas(100, 5)"
	first, second := e.pair()
	first.script("begin")
	require.Equal(t, []string{"1|2"}, first.run(sweep))
	require.Equal(t, []string{"0|0"}, second.run(sweep))
	// The dead one comes back to life meanwhile, and registers anew.
	tick := "select due_chores from taskrunner_private.tick('" + id("dead") + "', 'dead', 'test', 10, false)"
	waits := second.begins(tick)
	first.run(commit)
	e.requireEnds(waits)
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.replica"))
	e.requireStates("a: Pending 0/0", "b: Pending 0/0")
	require.Equal(t, "2", e.line("select sum(tries) from taskrunner.delivery where last_error = 'stale claim'"))

	// A heartbeat in flight wins.
	require.Equal(t, []string{"a", "b"}, e.claim("dead", 2))
	e.exec("update taskrunner_private.replica set heartbeat_at = now() - interval '1 minute'")
	first.script("begin; " + tick)
	require.Equal(t, []string{"0|0"}, second.run(sweep))
	first.run(commit)
	require.Equal(t, []string{"0|0"}, second.run(sweep))
	e.requireStates("a: Claimed 0/0", "b: Claimed 0/0")

	// Claims and deliveries under lease are given back by a replica that leaves, whatever is in progress.
	e.goneStale("a", "b")
	first.script("begin")
	require.Equal(t, []string{"0|2|2"}, first.run(sweepActive))
	require.Equal(t, []string{"0|0"}, second.run("select timed_out, requeued from taskrunner_private.sweep_active(100, 30)"))
	first.run(commit)
}

func TestPauseAndStartAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pauseFirst bool
		answer     func(e *engine) string
		want       string
	}{
		"pause, then delivered": {true, started, "Paused 0/0 from Running"},
		"delivered, then pause": {false, started, "Paused 0/0 from Running"},
		"pause, then failed":    {true, failedStart, "Paused 0/0 from Pending"},
		"failed, then pause":    {false, failedStart, "Paused 0/0 from Pending"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.claimed("t", "r")
			one, two := call("pause_task", "t"), tc.answer(e)
			if !tc.pauseFirst {
				one, two = two, one
			}
			first, second := e.pair()
			first.script("begin; " + one)
			waits := second.begins(two)
			first.run(commit)
			e.requireEnds(waits)
			e.requireStates("t: " + tc.want)
		})
	}
	t.Run("canceled, then delivered", func(t *testing.T) {
		t.Parallel()
		e := setup(t)
		e.claimed("t", "r")
		answer := started(e)
		first, second := e.pair()
		first.script("begin; " + call("cancel_task", "t"))
		waits := second.begins(answer)
		first.run(commit)
		e.requireEnds(waits)
		e.requireStates("t: Canceled 0/0")
		require.Equal(t, "Delivered 1/3", e.startDelivery("t"))
	})
	t.Run("completed while claimed, then failed", func(t *testing.T) {
		t.Parallel()
		e := setup(t)
		e.claimed("t", "r")
		answer := failedStart(e)
		first, second := e.pair()
		first.script("begin; " + finishTask("t", "Success"))
		waits := second.begins(answer)
		first.run(commit)
		e.requireEnds(waits)
		e.requireStates("t: Success 0/0")
		require.Equal(t, "none", e.startDelivery("t"))
	})
}

// started and failedStart are what a replica says about the call of task "t".
func started(e *engine) string {
	return "select * from taskrunner_private.start_tasks('" + e.tries("t", "{}") + "')"
}

func failedStart(e *engine) string {
	return "select * from taskrunner_private.fail_starts('" + id("r") + "', '" + e.tries("t", `{"error": "HTTP 503"}`) + "', 1000)"
}

func TestResumeAndParentEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ first, second, end, code, want string }{
		"end first":              {finishTask("p", "Success"), call("resume_task", "c"), commit, "", "Pending 0/0"},
		"end first, not done":    {finishTask("p", "Success"), call("resume_task", "c"), rollback, "", "Waiting 1/1"},
		"failure first":          {set("Failure", "p"), call("resume_task", "c"), commit, "TR001", "Failure 1/1"},
		"resume first":           {call("resume_task", "c"), finishTask("p", "Success"), commit, "", "Pending 0/0"},
		"resume first, failure":  {call("resume_task", "c"), set("Failure", "p"), commit, "", "Failure 1/1"},
		"resume first, not done": {call("resume_task", "c"), set("Success", "p"), rollback, "", "Paused 0/0 from Waiting"},
		"update first":           {set("Waiting", "c"), set("Success", "p"), commit, "", "Pending 0/0"},
		"end first, update":      {set("Success", "p"), set("Waiting", "c"), commit, "TR001", "Paused 0/0 from Waiting"},
		"link first":             {insertLinks("q?c"), call("resume_task", "c"), commit, "", "Waiting 2/1"},
		"stop first":             {call("stop_batch", "b"), call("resume_task", "c"), commit, "TR001", "Canceled 1/1"},
		"resume first, stop":     {call("resume_task", "c"), call("stop_batch", "b"), commit, "", "Canceled 1/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("q", "p")
			e.batch("b", "c")
			e.links("p>c")
			e.move("p", "Claimed", "Running")
			e.move("c", "Paused")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			if tc.code != "" {
				e.requireFails(waits, tc.code)
			} else {
				e.requireEnds(waits)
			}
			e.requireStates("c: " + tc.want)
		})
	}
}

// Array functions over the same tasks in opposite orders wait for each other, never in a circle; a third one too.
func TestArraysInOppositeOrders(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b", "c", "d")
	e.links("a>d", "b?d")
	for _, task := range []string{"a", "b", "c"} {
		e.move(task, "Claimed", "Running")
	}
	array := func(function, rest string, names ...string) string {
		all := "select (taskrunner." + function + "(array["
		for i, name := range names {
			if i > 0 {
				all += ", "
			}
			all += "'" + id(name) + "'"
		}
		return all + "]::uuid[]" + rest + ")).id"
	}
	first, second := e.pair()
	third := e.session("third")
	first.script("begin")
	require.Len(t, first.run(array("finish_tasks", ", 'Success'", "c", "a")), 2)
	waits := second.begins(array("cancel_tasks", "", "a", "b", "c"))
	after := third.begins(array("finish_tasks", ", 'Failure'", "b", "a"))
	first.run(commit)
	require.Len(t, e.requireEnds(waits), 1, "b")
	require.Empty(t, e.requireEnds(after))
	e.requireStates("a: Success 0/0", "b: Canceled 0/0", "c: Success 0/0", "d: Pending 0/0")
}

// The release of a scheduled task against a change of the same task.
func TestReleaseAndPause(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b")
	e.exec("update taskrunner.task set run_at = now() + interval '1 hour'")
	// Their time has come, and nobody has noticed yet.
	e.exec("begin; set local session_replication_role = replica; update taskrunner.task set run_at = now() - interval '1 second'; " +
		"update taskrunner_private.queued_task set run_at = now() - interval '1 second'; commit")
	first, second := e.pair()
	first.script("begin")
	require.Equal(t, []string{"2"}, first.run("select taskrunner_private.release_scheduled(10)"))
	waits := second.begins(call("pause_task", "a"))
	require.Equal(t, "0", e.line("select taskrunner_private.release_scheduled(10)"))
	first.run(commit)
	e.requireEnds(waits)
	require.Equal(t, []string{"a|paused", "b|ready"}, e.lines("select t.name, q.state from taskrunner_private.queued_task q join taskrunner.task t on t.id = q.task_id order by 1"))
}
