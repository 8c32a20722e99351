package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// retrying inserts a task with a Start action and so many attempts, an hour apart at most.
func (e *engine) retrying(task string, attempts int) {
	e.t.Helper()
	e.exec(fmt.Sprintf(`insert into taskrunner.task (id, name, kind, max_attempts, retry_initial_delay_secs, retry_max_delay_secs)
		values ('%s', '%s', 'k', %d, 3600, 3600)`, id(task), task, attempts))
	e.action(task, "Start", "start")
}

// retryingIn does the same in a batch.
func (e *engine) retryingIn(batch, task string, attempts int) {
	e.t.Helper()
	e.exec(fmt.Sprintf(`insert into taskrunner.task (id, batch_id, name, kind, max_attempts, retry_initial_delay_secs, retry_max_delay_secs)
		values ('%s', '%s', '%s', 'k', %d, 3600, 3600)`, id(task), id(batch), task, attempts))
	e.action(task, "Start", "start")
}

// makeReady lets a task start at once.
func (e *engine) makeReady(task string) {
	e.t.Helper()
	e.exec("update taskrunner.task set run_at = null where id = $1", id(task))
}

// running claims the one ready task and reports its on_start as delivered.
func (e *engine) running(task string) {
	e.t.Helper()
	require.Equal(e.t, []string{task}, e.claim("r", 1))
	e.started(task)
}

// reportItem reports for an attempt and returns the outcome.
func (e *engine) reportItem(task string, attempt int, rest string) string {
	e.t.Helper()
	return e.line("select outcome from taskrunner_private.report_tasks($1::jsonb)",
		fmt.Sprintf(`[{"task_id": "%s", "attempt": %d%s}]`, id(task), attempt, rest))
}

// timedOut makes a Running task silent for longer than its timeout and sweeps it.
func (e *engine) timedOut(task string) {
	e.t.Helper()
	e.exec("update taskrunner.task set last_updated = now() - interval '1 day' where id = $1", id(task))
	require.Equal(e.t, "1|0|1", e.line(sweepActive))
}

// Rows 14 and 15 of the contract's table 5.3: what a failed attempt writes while there is another.
func TestRetryTransitions(t *testing.T) {
	t.Parallel()
	report := func(e *engine) { e.exec("select taskrunner.finish_task($1, 'Failure', 'broken', 1)", id("t")) }
	common := "attempt contacted failure_reason last_updated run_at"
	for _, tc := range []struct {
		name    string
		prepare func(e *engine) // of a task that is Claimed
		do      func(e *engine)
		changes string
		want    string
		reason  string
	}{
		{"report, claimed", func(*engine) {}, report, common + " status", "Pending 0/0", "broken"},
		{"report, running", func(e *engine) { e.started("t") }, report, common + " started_at status", "Pending 0/0", "broken"},
		{"report, pending after a try", func(e *engine) { e.failedStart("r", "t", "") }, report, common, "Pending 0/0", "broken"},
		{"report, paused from running", func(e *engine) { e.started("t"); e.move("t", "Paused") }, report, common + " paused_from started_at", "Paused 0/0 from Pending", "broken"},
		{"report, paused from claimed", func(e *engine) { e.move("t", "Paused") }, report, common + " paused_from", "Paused 0/0 from Pending", "broken"},
		{"report, paused after a try", func(e *engine) { e.failedStart("r", "t", ""); e.move("t", "Paused") }, report, common, "Paused 0/0 from Pending", "broken"},
		{"finish_tasks", func(e *engine) { e.started("t") }, func(e *engine) {
			require.Equal(e.t, "Pending", e.line("select status from taskrunner.finish_tasks(array[$1]::uuid[], 'Failure', 'broken')", id("t")))
		}, common + " started_at status", "Pending 0/0", "broken"},
		{"timeout", func(e *engine) { e.started("t") }, func(e *engine) { e.timedOut("t") }, common + " started_at status timed_out_attempts", "Pending 0/0", "Timeout"},
		{"on_start failed for good", func(*engine) {}, func(e *engine) {
			require.Equal(e.t, "Pending", e.failedStart("r", "t", `, "permanent": true`))
		}, common + " status", "Pending 0/0", "on_start webhook failed: HTTP 503"},
		{"claim stale, no tries left", func(e *engine) { e.exec("update taskrunner_private.server_setting set start_max_attempts = 1") }, func(e *engine) {
			e.goneStale("t")
			e.line(sweepActive)
		}, common + " status", "Pending 0/0", "on_start webhook failed: stale claim"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.retrying("t", 2)
			require.Equal(t, []string{"t"}, e.claim("r", 1))
			tc.prepare(e)
			before := e.row("t")
			tc.do(e)
			require.ElementsMatch(t, strings.Fields(tc.changes), changed(before, e.row("t")))
			e.requireStates("t: " + tc.want)
			require.Equal(t, tc.reason, e.reason("t"))
			require.Equal(t, "2|f|t", e.line(`select attempt, contacted, run_at between last_updated and last_updated + interval '1 hour'
				from taskrunner.task where id = $1`, id("t")))
			require.Equal(t, map[bool]string{true: "paused", false: "scheduled"}[tc.want[:2] == "Pa"], e.line("select state from taskrunner_private.queued_task"))
			require.Equal(t, "0", e.line("select count(*) from taskrunner_private.active_task"))
			if tc.want[:2] == "Pa" {
				e.move("t", "Pending") // the pause outlives the attempt, run_at outlives the pause
				require.Equal(t, "scheduled", e.line("select state from taskrunner_private.queued_task"))
			}

			// The next attempt begins with a call under its own key, and its failure is final.
			e.makeReady("t")
			require.Equal(t, id("t")+":start:a2|2|t", e.line(`select idempotency_key, attempt, params is not null
				from taskrunner_private.claim_tasks($1::uuid, 1, 30, '{}', '{}', true)`, id("r")))
			require.Equal(t, "stale", e.reportItem("t", 1, `, "status": "Success"`), "the old handle")
			require.Equal(t, "done", e.reportItem("t", 2, `, "status": "Failure", "failure_reason": "final"`))
			e.requireStates("t: Failure 0/0")
		})
	}
}

// Cascades, cancels, stops and direct UPDATEs are final, whatever the policy.
func TestNoRetry(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ do, want string }{
		"update":      {set("Failure", "t"), "Failure"},
		"cancel":      {call("cancel_task", "t"), "Canceled"},
		"update to C": {set("Canceled", "t"), "Canceled"},
		"stop":        {call("stop_batch", "b"), "Canceled"},
		"success":     {finishTask("t", "Success"), "Success"},
		"cascade":     {set("Failure", "p"), "Failure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.batch("b", "p")
			e.exec("insert into taskrunner.task (id, batch_id, name, kind, max_attempts) values ($1, $2, 't', 'k', 5)", id("t"), id("b"))
			e.move("p", "Claimed")
			if name == "cascade" {
				e.links("p>t")
			} else {
				e.move("t", "Claimed", "Running")
			}
			e.exec(tc.do)
			require.Equal(t, tc.want+"|1", e.line("select status, attempt from taskrunner.task where name = 't'"))
		})
	}
}

// A whole life: children and on_failure see the final outcome only, each timeout fires the cancel actions of its attempt.
func TestRetriedTask(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.retrying("t", 4)
	e.tasks("child", "optional")
	e.links("t>child", "t?optional")
	e.action("t", "Success", "ok")
	e.action("t", "Failure", "bad")
	e.action("t", "Cancel", "stop")

	// A report: what it says about the task is kept, its progress is not, nothing fires.
	e.running("t")
	require.Equal(t, "done", e.reportItem("t", 1, `, "new_success": 3, "new_failures": 1`))
	require.Equal(t, "done", e.reportItem("t", 1, `, "status": "Failure", "new_success": 2, "metadata": {"a": 1}, "expected_count": 9, "priority": 4`))
	require.Equal(t, `Pending|2|0|0|{"a": 1}|9|4||`, e.line(`select status, attempt, success, failures, metadata, expected_count, priority, started_at, ended_at
		from taskrunner.task where name = 't'`))
	require.Equal(t, "4|scheduled", e.line("select priority, state from taskrunner_private.queued_task where task_id = $1", id("t")))
	e.requireStates("child: Waiting 1/1", "optional: Waiting 1/0")
	require.Equal(t, []string{"start start Delivered"}, e.deliveries("t"))
	require.Equal(t, "{stale}", e.line("select outcomes from taskrunner_private.progress_tasks(array[$1::uuid], '{1}', '{1}', '{0}')", id("t")))

	// A timeout: its own cancel action.
	e.makeReady("t")
	e.running("t")
	e.exec("begin; set local session_replication_role = replica; insert into taskrunner.action (task_id, trigger, attempt, params) values ('" +
		id("t") + `', 'Cancel', 2, '{"url": "https://hooks.example.com/registered", "verb": "Post"}'); commit`)
	e.timedOut("t")
	e.requireStates("child: Waiting 1/1", "optional: Waiting 1/0")

	// on_start fails for good; nothing fires, and a cancel before the next call neither.
	e.makeReady("t")
	require.Equal(t, []string{"t"}, e.claim("r", 1))
	e.failedStart("r", "t", `, "permanent": true`)
	require.Equal(t, []string{
		"cancel:2:a2 registered Pending", "cancel:a2 stop Pending", "start start Delivered", "start:a2 start Delivered", "start:a3 start Failed",
	}, e.deliveries("t"))

	// The last one times out as well.
	e.makeReady("t")
	e.running("t")
	e.timedOut("t")
	e.requireStates("t: Failure 0/0", "child: Failure 1/1", "optional: Pending 0/0")
	require.Equal(t, []string{
		"cancel:2:a2 registered Pending", "cancel:a2 stop Pending", "cancel:a4 stop Pending", "end:failure:a4 bad Pending",
		"start start Delivered", "start:a2 start Delivered", "start:a3 start Failed", "start:a4 start Delivered",
	}, e.deliveries("t"))
	require.Equal(t, "Timeout", e.reason("t"))
}

// A reason of an earlier attempt stays until the task ends; Success replaces it.
func TestReasonOfAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.retrying("t", 3)
	e.running("t")
	e.exec("select taskrunner.finish_task($1, 'Failure', 'first')", id("t"))
	e.makeReady("t")
	e.running("t")
	require.Equal(t, "first", e.reason("t"))
	e.exec("select taskrunner.finish_task($1, 'Success')", id("t"))
	require.Empty(t, e.reason("t"))
	require.Equal(t, "Success|2", e.line("select status, attempt from taskrunner.task"))
}

// An open try of on_start belongs to its attempt: a report that fails the attempt drops it.
func TestRetryDropsOpenStarts(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.retrying("t", 2)
	require.Equal(t, []string{"t"}, e.claim("r", 1))
	e.failedStart("r", "t", "")
	require.Equal(t, []string{"start start Pending"}, e.deliveries("t"))
	require.Equal(t, "done", e.reportItem("t", 1, `, "status": "Failure"`))
	require.Equal(t, []string{"start start Canceled"}, e.deliveries("t"))
	// Before its next call the task is not contacted: it takes no result, and a cancel calls nobody.
	e.action("t", "Cancel", "stop")
	require.Equal(t, "state", e.reportItem("t", 2, `, "status": "Success"`))
	e.exec(call("cancel_task", "t"))
	require.Equal(t, []string{"start start Canceled"}, e.deliveries("t"))
}

// Claims by SQL and tasks without any webhook are retried as well.
func TestRetryBySQLWorkers(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec("insert into taskrunner.task (id, name, kind, max_attempts, retry_initial_delay_secs) values ($1, 't', 'k', 2, 0)", id("t"))
	worker := e.sessionAs("worker", e.Login(t, "taskrunner_worker"))
	worker.run(set("Claimed", "t"))
	worker.run(set("Running", "t"))
	require.Equal(t, []string{"Pending"}, worker.run(finishTask("t", "Failure")))
	require.Equal(t, "ready", e.line("select state from taskrunner_private.queued_task"), "no delay")
	_, err := worker.try("select taskrunner.finish_task($1, 'Failure', null, 1)", id("t"))
	requireCode(t, err, "TR005")
	worker.run(set("Claimed", "t"))
	require.Equal(t, []string{"Failure"}, worker.run(finishTask("t", "Failure")))
}

// The delay: uniform below the cap, in whole milliseconds; with the defaults the caps are 5, 10, 20 … 300 s.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, tc := range []struct {
		args string
		caps []float64
	}{
		{"5, 2, 300", []float64{5, 10, 20, 40, 80, 160, 300, 300}},
		{"1, 1, 300", []float64{1, 1, 1}},
		{"0.5, 100, 86400", []float64{0.5, 50, 5000, 86400}},
	} {
		for i, most := range tc.caps {
			require.Equal(t, "t|t|t|t", e.line(`
				select min(s) >= 0 and max(s) < $1::float8, min(s) < $1::float8 * 0.02 and max(s) > $1::float8 * 0.98,
					avg(s) between $1::float8 * 0.45 and $1::float8 * 0.55, bool_and(s * 1000 = trunc(s * 1000))
				from (select extract(epoch from taskrunner_private.retry_delay($2, `+tc.args+`)) as s from generate_series(1, 4000)) x`, most, i+1),
				"%s, attempt %d", tc.args, i+1)
		}
	}
	require.Equal(t, "00:00:00", e.line("select taskrunner_private.retry_delay(100, 0, 100, 86400)"))
	require.Equal(t, "t", e.line("select taskrunner_private.retry_delay(100, 86400, 100, 86400) < interval '1 day'"))
}

// All ways in store the policy and run_at.
// The smallest numbers that a column can hold are delays like any other.
func TestSmallestRetryDelay(t *testing.T) {
	t.Parallel()
	e := setup(t)
	require.Equal(t, []string{"100"}, e.lines(
		"select count(*) from generate_series(1, 100) where taskrunner_private.retry_delay(1, 5e-324, 2, 5e-324) = interval '0'"))
}

func TestRetryAndRunAtOfNewTasks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	producer := e.sessionAs("producer", e.Login(t, "taskrunner_producer"))
	producer.run("insert into taskrunner.task (name, kind, max_attempts, run_at) values ('plain', 'k', 7, '2100-01-01T00:00:00Z')")
	producer.run("select taskrunner.submit_batch($1::jsonb)", `[
		{"id": "a", "name": "some", "kind": "k", "retry": {"max_attempts": 3}, "run_at": "2100-01-01T01:00:00.123456+01:00", "on_start": `+hook+`},
		{"id": "b", "name": "all", "kind": "k", "retry": {"max_attempts": 100, "initial_delay_secs": 0.25, "multiplier": 1.5, "max_delay_secs": 8.64e4},
			"run_at": "2000-01-01T00:00:00Z", "on_start": `+hook+`},
		{"id": "c", "name": "tiny", "kind": "k", "retry": {"max_attempts": 2, "initial_delay_secs": 1e-900, "max_delay_secs": 1e-400}, "on_start": `+hook+`},
		{"id": "d", "name": "none", "kind": "k", "retry": null, "run_at": null, "on_start": `+hook+`},
		{"id": "e", "name": "child", "kind": "k", "run_at": "2100-01-01T00:00:00Z", "on_start": `+hook+`, "dependencies": [{"id": "b", "requires_success": true}]}]`)
	require.Equal(t, []string{
		"plain|7|5|2|300|2100-01-01 00:00:00|scheduled", "some|3|5|2|300|2100-01-01 00:00:00.123456|scheduled",
		"all|100|0.25|1.5|86400|2000-01-01 00:00:00|ready", "tiny|2|0|2|0||ready", "none|1|5|2|300||ready", "child|1|5|2|300|2100-01-01 00:00:00|waiting",
	}, e.lines(`select t.name, t.max_attempts, t.retry_initial_delay_secs, t.retry_multiplier, t.retry_max_delay_secs, t.run_at at time zone 'UTC', q.state
		from taskrunner.task t join taskrunner_private.queued_task q on q.task_id = t.id order by t.seq`))

	// A child whose parents have ended still waits for its moment.
	e.exec("update taskrunner.task set status = 'Claimed' where name = 'all'")
	e.exec("update taskrunner.task set status = 'Success' where name = 'all'")
	require.Equal(t, "Pending|scheduled", e.line("select t.status, q.state from taskrunner.task t join taskrunner_private.queued_task q on q.task_id = t.id where t.name = 'child'"))
	_, err := producer.try("update taskrunner.task set run_at = now()")
	requireCode(t, err, "42501")
}

const hook = `{"kind": "Webhook", "params": {"url": "https://hooks.example.com/start", "verb": "Post"}}`

// Priority and run_at of queued tasks count at once, and held tasks delay nobody.
func TestQueueOrderChanges(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b", "c", "d", "later", "held")
	e.exec("update taskrunner.task set priority = 9 where name in ('later', 'held')")
	e.exec("update taskrunner.task set run_at = now() + interval '1 hour' where name = 'later'")
	e.move("held", "Paused")
	require.Equal(t, "done", e.line("select outcome from taskrunner_private.report_tasks($1::jsonb)", `[{"task_id": "`+id("c")+`", "priority": 5}]`))
	e.exec("update taskrunner.task set priority = -1 where name = 'a'")
	require.Equal(t, []string{"c"}, e.claim("r", 1))
	e.makeReady("later")
	require.Equal(t, []string{"later", "b", "d", "a"}, e.claim("r", 9))
	e.move("held", "Pending")
	require.Equal(t, []string{"held"}, e.claim("r", 9))
}

// A task that is scheduled for a moment before the next pulse of all replicas notifies them; others do not.
func TestScheduledTasksWakeChores(t *testing.T) {
	t.Parallel()
	e := setup(t)
	insert := func(name, in string) {
		e.exec("insert into taskrunner.task (id, name, kind, run_at) values ($1, $2, 'k', now() + $3::interval)", id(name), name, in)
	}
	notified := e.notifications()
	insert("nobody", "1 minute")
	require.Empty(t, notified(), "there is no replica")
	e.exec("update taskrunner.task set run_at = now() + interval '1 day'")
	e.alive("r")
	e.exec("update taskrunner_private.replica set next_pulse_at = now() + interval '1 hour'")
	insert("soon", "1 minute")
	require.Equal(t, []string{"chores"}, notified())
	insert("late", "2 hours")
	require.Empty(t, notified())
	e.exec("update taskrunner.task set run_at = now() + interval '2 minutes' where name = 'late'")
	require.Equal(t, []string{"chores"}, notified())
	e.exec("update taskrunner_private.replica set next_pulse_at = now() - interval '1 second'")
	insert("overdue", "1 minute")
	require.Empty(t, notified(), "the pulse is overdue")

	// The next pulse is what tick says, or in a second.
	require.Equal(t, "t", e.line("select next_due_at = (select min(run_at) from taskrunner.task) from taskrunner_private.tick($1, 'r', 'test', 1, false)", id("r")))
	require.Equal(t, "00:00:01", e.line("select next_pulse_at - heartbeat_at from taskrunner_private.replica"))
	e.exec("update taskrunner.task set run_at = now() + interval '0.5 seconds' where name = 'soon'")
	require.Equal(t, "t", e.line("select next_due_at <= clock_timestamp() + interval '0.5 seconds' from taskrunner_private.tick($1, 'r', 'test', 1, false)", id("r")))
	require.Equal(t, "t", e.line("select next_pulse_at = (select min(run_at) from taskrunner.task) from taskrunner_private.replica"))
}
