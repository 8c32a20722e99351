package sqltest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// row is a task with all its columns.
type row map[string]any

// row reads a task.
func (e *engine) row(task string) row {
	e.t.Helper()
	var r row
	require.NoError(e.t, json.Unmarshal([]byte(e.line("select to_jsonb(t) from taskrunner.task t where id = $1", id(task))), &r))
	return r
}

// changed names the columns in which two versions of a task differ, sorted.
func changed(before, after row) []string {
	names := []string{}
	for name := range after {
		if !reflect.DeepEqual(before[name], after[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// tries is the argument of start_tasks and fail_starts for one try of a task's present claim.
func (e *engine) tries(task string, extra string) string {
	e.t.Helper()
	return e.line(`
		select jsonb_build_array(jsonb_build_object('task_id', t.id, 'attempt', t.attempt, 'claimed_at', a.claimed_at, 'at', now(),
			'latency_ms', 12, 'status_code', 200) || $2::jsonb)
		from taskrunner.task t left join taskrunner_private.active_task a on a.task_id = t.id where t.id = $1`, id(task), extra)
}

// started reports on_start of a task as delivered; failedStart reports it as failed, for a replica.
func (e *engine) started(task string) {
	e.t.Helper()
	e.exec("select * from taskrunner_private.start_tasks($1::jsonb)", e.tries(task, "{}"))
}

func (e *engine) failedStart(replica, task, extra string) string {
	e.t.Helper()
	return e.line("select status from taskrunner_private.fail_starts($1, $2::jsonb, 1000)", id(replica),
		e.tries(task, `{"status_code": 503, "error": "HTTP 503"`+extra+"}"))
}

// waitingFor makes a task that waits for a new parent.
func (e *engine) waitingFor(task, parent string) {
	e.t.Helper()
	e.tasks(parent, task)
	e.links(parent + ">" + task)
}

// claimed makes a task with a Start action, claimed by a replica.
func (e *engine) claimed(task, replica string) {
	e.t.Helper()
	e.tasks(task)
	e.action(task, "Start", "start")
	require.Equal(e.t, []string{task}, e.claim(replica, 1))
}

// goneStale makes the claims of tasks look a minute old.
func (e *engine) goneStale(tasks ...string) {
	e.t.Helper()
	e.exec(`update taskrunner_private.active_task set claimed_at = claimed_at - interval '1 minute', due_at = due_at - interval '1 minute'
		where task_id = any($1::uuid[])`, "{"+strings.Join(ids(tasks...), ",")+"}")
}

const sweepActive = "select timed_out, requeued, looked_at from taskrunner_private.sweep_active(100, 30)"

// TestTransitions plays the rows of the contract's table 5.3: what each writes, and nothing else.
func TestTransitions(t *testing.T) {
	t.Parallel()
	finish := func(status, reason string) string {
		return "select taskrunner.finish_task('{id}', '" + status + "'" + reason + ")"
	}
	ended := []string{"ended_at", "last_updated", "status"}
	endedReason := []string{"ended_at", "failure_reason", "last_updated", "status"}
	for _, tc := range []struct {
		name    string
		prepare func(e *engine) // makes task "t"
		do      string          // {id} is its id
		changes []string
		want    string // status
		reason  string
		paused  string // paused_from afterwards
	}{
		{
			"3 waiting, parents done", func(e *engine) { e.waitingFor("t", "p"); e.move("p", "Claimed") }, set("Success", "p"),
			[]string{"status", "wait_finished", "wait_success"}, "Pending", "", "",
		},
		{
			"3 paused from waiting, parents done", func(e *engine) { e.waitingFor("t", "p"); e.move("p", "Claimed"); e.move("t", "Paused") }, set("Success", "p"),
			[]string{"wait_finished", "wait_success"}, "Paused", "", "Waiting",
		},
		{
			"4 waiting, parent failed", func(e *engine) { e.waitingFor("t", "p"); e.move("p", "Claimed") }, set("Failure", "p"),
			[]string{"ended_at", "failure_reason", "status"}, "Failure", failed("p"), "",
		},
		{
			"4 waiting, parent canceled", func(e *engine) { e.waitingFor("t", "p") }, set("Canceled", "p"),
			[]string{"ended_at", "failure_reason", "status"}, "Failure", failed("p"), "",
		},
		{
			"4 paused from waiting, parent failed", func(e *engine) { e.waitingFor("t", "p"); e.move("p", "Claimed"); e.move("t", "Paused") }, set("Failure", "p"),
			[]string{"ended_at", "failure_reason", "paused_from", "status"}, "Failure", failed("p"), "",
		},
		{
			"5 pending, linked", func(e *engine) { e.tasks("p", "t") }, insertLinks("p>t"),
			[]string{"status", "wait_finished", "wait_success"}, "Waiting", "", "",
		},
		{
			"5 paused from pending, linked", func(e *engine) { e.tasks("p", "t"); e.move("t", "Paused") }, insertLinks("p>t"),
			[]string{"paused_from", "wait_finished", "wait_success"}, "Paused", "", "Waiting",
		},
		{
			"5 waiting, linked again", func(e *engine) { e.waitingFor("t", "p"); e.tasks("q") }, insertLinks("q?t"),
			[]string{"rank", "wait_finished"}, "Waiting", "", "",
		},
		{
			"5 pending, linked to a failed parent", func(e *engine) { e.tasks("p", "t"); e.move("p", "Canceled") }, insertLinks("p>t"),
			[]string{"ended_at", "failure_reason", "status"}, "Failure", failed("p"), "",
		},
		{
			"6 claimed by a replica", func(e *engine) { e.tasks("t"); e.action("t", "Start", "x") }, "select taskrunner_private.claim_tasks('{id}', 1, 30, '{}', '{}', true)",
			[]string{"contacted", "last_updated", "status"}, "Claimed", "", "",
		},
		{
			"6 claimed by SQL", func(e *engine) { e.tasks("t") }, set("Claimed", "t"),
			[]string{"contacted", "last_updated", "status"}, "Claimed", "", "",
		},
		{
			"6 and 7 claimed without an on_start", func(e *engine) { e.tasks("t") }, "select taskrunner_private.claim_tasks('{id}', 1, 30, '{}', '{}', true)",
			[]string{"contacted", "last_updated", "started_at", "status"}, "Running", "", "",
		},
		{
			"7 started by SQL", func(e *engine) { e.tasks("t"); e.move("t", "Claimed") }, set("Running", "t"),
			[]string{"last_updated", "started_at", "status"}, "Running", "", "",
		},
		{
			"8 claimed by SQL, stale", func(e *engine) { e.tasks("t"); e.move("t", "Claimed"); e.goneStale("t") }, sweepActive,
			[]string{"last_updated", "status"}, "Pending", "", "",
		},
		{
			"8 claimed by a replica, stale", func(e *engine) { e.claimed("t", "r"); e.goneStale("t") }, sweepActive,
			[]string{"last_updated", "status"}, "Pending", "", "",
		},
		{
			"8 claimed by a replica that died", func(e *engine) {
				e.replica("r")
				e.claimed("t", "r")
				e.exec("update taskrunner_private.replica set heartbeat_at = now() - interval '6 seconds'")
			}, "select * from taskrunner_private.sweep_replicas(100, 5)",
			[]string{"last_updated", "status"}, "Pending", "", "",
		},
		{
			"8 claimed by a replica that never heard of it", func(e *engine) { e.claimed("t", "r") },
			"select * from taskrunner_private.give_back_claims((select replica_id from taskrunner_private.active_task where task_id = '{id}'), '{}')",
			[]string{"last_updated", "status"}, "Pending", "", "",
		},
		{"10 claimed, report", func(e *engine) { e.tasks("t"); e.move("t", "Claimed") }, finish("Success", ""), ended, "Success", "", ""},
		{"10 running, report", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, finish("Success", ""), ended, "Success", "", ""},
		{"10 running, report with text", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, finish("Success", ", 'fine'"), endedReason, "Success", "fine", ""},
		{"10 running, update", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, set("Success", "t"), ended, "Success", "", ""},
		{
			"10 running, update with fields", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") },
			"update taskrunner.task set status = 'Success', failure_reason = 'fine', success = 3, failures = 1, metadata = '{\"a\": 1}', expected_count = 4, priority = 7 where id = '{id}'",
			[]string{"ended_at", "expected_count", "failure_reason", "failures", "last_updated", "metadata", "priority", "status", "success"}, "Success", "fine", "",
		},
		{
			"10 running, report with fields", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") },
			`select * from taskrunner_private.report_tasks('[{"task_id": "{id}", "attempt": 1, "status": "Success", "new_success": 3, "new_failures": 1,
				"metadata": {"a": 1}, "expected_count": 4, "priority": 7}]')`,
			[]string{"ended_at", "expected_count", "failures", "last_updated", "metadata", "priority", "status", "success"}, "Success", "", "",
		},
		{
			"10 paused from running, report", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running", "Paused") }, finish("Success", ""),
			[]string{"ended_at", "last_updated", "paused_from", "status"}, "Success", "", "",
		},
		{
			"10 paused from claimed, update", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Paused") }, set("Success", "t"),
			[]string{"ended_at", "last_updated", "paused_from", "status"}, "Success", "", "",
		},
		{"10 pending after a stale claim, report", func(e *engine) { e.claimed("t", "r"); e.goneStale("t"); e.line(sweepActive) }, finish("Success", ""), ended, "Success", "", ""},
		{
			"10 paused after a failed on_start, update", func(e *engine) { e.claimed("t", "r"); e.failedStart("r", "t", ""); e.move("t", "Paused") }, set("Success", "t"),
			[]string{"ended_at", "last_updated", "paused_from", "status"}, "Success", "", "",
		},
		{"11 claimed, report", func(e *engine) { e.tasks("t"); e.move("t", "Claimed") }, finish("Failure", ", 'broken'"), endedReason, "Failure", "broken", ""},
		{"11 running, report without text", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, finish("Failure", ""), endedReason, "Failure", "Set to Failure by postgres", ""},
		{"11 running, update without text", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, set("Failure", "t"), endedReason, "Failure", "Set to Failure by postgres", ""},
		{
			"11 running, update with text", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") },
			"update taskrunner.task set status = 'Failure', failure_reason = 'broken' where id = '{id}'", endedReason, "Failure", "broken", "",
		},
		{
			"11 pending after a failed on_start, report", func(e *engine) { e.claimed("t", "r"); e.failedStart("r", "t", "") }, finish("Failure", ", 'broken'"),
			endedReason, "Failure", "broken", "",
		},
		{
			"13 running, timed out", func(e *engine) {
				e.tasks("t")
				e.move("t", "Claimed", "Running")
				e.exec("update taskrunner.task set last_updated = last_updated - interval '61 seconds'")
			}, sweepActive, []string{"ended_at", "failure_reason", "status", "timed_out_attempts"}, "Failure", "Timeout", "",
		},
		{"16 waiting, canceled", func(e *engine) { e.waitingFor("t", "p") }, "select taskrunner.cancel_task('{id}')", endedReason, "Canceled", "Canceled", ""},
		{"16 pending, canceled", func(e *engine) { e.tasks("t") }, "select taskrunner.cancel_tasks(array['{id}'::uuid])", endedReason, "Canceled", "Canceled", ""},
		{"16 claimed, updated", func(e *engine) { e.tasks("t"); e.move("t", "Claimed") }, set("Canceled", "t"), endedReason, "Canceled", "Canceled", ""},
		{
			"16 running, updated with text", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") },
			"update taskrunner.task set status = 'Canceled', failure_reason = 'no need' where id = '{id}'", endedReason, "Canceled", "no need", "",
		},
		{
			"16 paused, canceled", func(e *engine) { e.tasks("t"); e.move("t", "Paused") }, "select taskrunner.cancel_task('{id}')",
			[]string{"ended_at", "failure_reason", "last_updated", "paused_from", "status"}, "Canceled", "Canceled", "",
		},
		{"18 pending, stopped", func(e *engine) { e.batch("b", "t") }, "select taskrunner.stop_batch('" + id("b") + "')", endedReason, "Canceled", "Batch stopped", ""},
		{
			"18 paused from running, stopped", func(e *engine) { e.batch("b", "t"); e.move("t", "Claimed", "Running", "Paused") }, "select taskrunner.stop_batch('" + id("b") + "')",
			[]string{"ended_at", "failure_reason", "last_updated", "paused_from", "status"}, "Canceled", "Batch stopped", "",
		},
		{"19 waiting, paused", func(e *engine) { e.waitingFor("t", "p") }, "select taskrunner.pause_task('{id}')", []string{"paused_from", "status"}, "Paused", "", "Waiting"},
		{"19 pending, paused", func(e *engine) { e.tasks("t") }, "select taskrunner.pause_task('{id}')", []string{"paused_from", "status"}, "Paused", "", "Pending"},
		{"19 claimed, paused", func(e *engine) { e.tasks("t"); e.move("t", "Claimed") }, "select taskrunner.pause_task('{id}')", []string{"paused_from", "status"}, "Paused", "", "Claimed"},
		{"19 running, updated", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, set("Paused", "t"), []string{"paused_from", "status"}, "Paused", "", "Running"},
		{"20 to waiting", func(e *engine) { e.waitingFor("t", "p"); e.move("t", "Paused") }, "select taskrunner.resume_task('{id}')", []string{"paused_from", "status"}, "Waiting", "", ""},
		{"20 to pending", func(e *engine) { e.tasks("t"); e.move("t", "Paused") }, set("Pending", "t"), []string{"paused_from", "status"}, "Pending", "", ""},
		{
			"20 from waiting to pending", func(e *engine) {
				e.waitingFor("t", "p")
				e.move("p", "Claimed")
				e.move("t", "Paused")
				e.move("p", "Success")
			}, "select taskrunner.resume_task('{id}')", []string{"paused_from", "status"}, "Pending", "", "",
		},
		{
			"20 from pending to waiting", func(e *engine) { e.tasks("p", "t"); e.move("t", "Paused"); e.links("p?t") }, "select taskrunner.resume_task('{id}')",
			[]string{"paused_from", "status"}, "Waiting", "", "",
		},
		{
			"20 to claimed", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Paused") }, "select taskrunner.resume_task('{id}')",
			[]string{"last_updated", "paused_from", "status"}, "Claimed", "", "",
		},
		{
			"20 to running", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running", "Paused") }, set("Running", "t"),
			[]string{"last_updated", "paused_from", "status"}, "Running", "", "",
		},
		{
			"21 paused from claimed, stale", func(e *engine) { e.claimed("t", "r"); e.move("t", "Paused"); e.goneStale("t") }, sweepActive,
			[]string{"paused_from"}, "Paused", "", "Pending",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			tc.prepare(e)
			before := e.row("t")
			e.exec(strings.ReplaceAll(tc.do, "{id}", id("t")))
			after := e.row("t")
			require.Equal(t, tc.changes, changed(before, after))
			require.Equal(t, tc.want, after["status"])
			require.Equal(t, tc.reason, e.reason("t"))
			require.Equal(t, tc.paused, e.line("select paused_from from taskrunner.task where id = $1", id("t")))
			if slices.Contains(tc.changes, "ended_at") && slices.Contains(tc.changes, "last_updated") {
				require.Equal(t, after["ended_at"], after["last_updated"])
			}
			if slices.Contains(tc.changes, "started_at") {
				require.Equal(t, after["started_at"], after["last_updated"])
			}
		})
	}
}

// Rows 7, 9, 12 and 21: what a replica reports about its call.
func TestTransitionsByOnStart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		paused  bool
		do      func(e *engine)
		changes []string
		want    string
		reason  string
	}{
		{"7 delivered", false, func(e *engine) { e.started("t") }, []string{"last_updated", "started_at", "status"}, "Running 0/0", ""},
		{"9 failed, tries left", false, func(e *engine) { e.failedStart("r", "t", "") }, []string{"last_updated", "run_at", "status"}, "Pending 0/0", ""},
		{
			"12 failed for good", false, func(e *engine) { e.failedStart("r", "t", `, "permanent": true`) },
			[]string{"ended_at", "failure_reason", "last_updated", "status"}, "Failure 0/0", "on_start webhook failed: HTTP 503",
		},
		{
			"12 failed, no tries left", false, func(e *engine) {
				e.exec("update taskrunner_private.server_setting set start_max_attempts = 1")
				e.failedStart("r", "t", "")
			}, []string{"ended_at", "failure_reason", "last_updated", "status"}, "Failure 0/0", "on_start webhook failed: HTTP 503",
		},
		{
			"12 stale, no tries left", false, func(e *engine) {
				e.exec("update taskrunner_private.server_setting set start_max_attempts = 1")
				e.goneStale("t")
				e.line(sweepActive)
			}, []string{"ended_at", "failure_reason", "last_updated", "status"}, "Failure 0/0", "on_start webhook failed: stale claim",
		},
		{"21 paused, delivered", true, func(e *engine) { e.started("t") }, []string{"paused_from", "started_at"}, "Paused 0/0 from Running", ""},
		{"21 paused, failed", true, func(e *engine) { e.failedStart("r", "t", "") }, []string{"paused_from"}, "Paused 0/0 from Pending", ""},
		{"21 paused, failed for good", true, func(e *engine) { e.failedStart("r", "t", `, "permanent": true`) }, []string{"paused_from"}, "Paused 0/0 from Pending", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.claimed("t", "r")
			if tc.paused {
				e.move("t", "Paused")
			}
			before := e.row("t")
			tc.do(e)
			require.Equal(t, tc.changes, changed(before, e.row("t")))
			e.requireStates("t: " + tc.want)
			require.Equal(t, tc.reason, e.reason("t"))
		})
	}
}

// Rows 1 and 2: new tasks, by INSERT and by submit_batch.
func TestCreation(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("failed")
	e.move("failed", "Canceled")
	s := e.session("producer")
	s.script("begin;" + insertTasks("parent", "child", "dead", "below dead") + ";" + insertLinks("parent>child", "failed>dead", "dead?below dead"))
	s.run(`select taskrunner.submit_batch('{"tasks": [
		{"id": "a", "name": "s parent", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x/", "verb": "Get"}}},
		{"id": "b", "name": "s child", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x/", "verb": "Get"}},
			"dependencies": [{"id": "a", "requires_success": true}]},
		{"id": "c", "name": "s dead", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x/", "verb": "Get"}},
			"dependencies": [{"task_id": "` + id("failed") + `", "requires_success": true}]},
		{"id": "d", "name": "s below dead", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x/", "verb": "Get"}},
			"dependencies": [{"id": "c", "requires_success": false}]}]}')`)
	for _, prefix := range []string{"", "s "} {
		require.Equal(t, []string{
			prefix + "parent|Pending|0/0|",
			prefix + "child|Waiting|1/1|",
			prefix + "dead|Failure|0/0|" + failed("failed"),
			prefix + "below dead|Pending|0/0|",
		}, s.run(`select name, status, wait_finished || '/' || wait_success, failure_reason from taskrunner.task
			where name in ($1, $2, $3, $4) order by seq`, prefix+"parent", prefix+"child", prefix+"dead", prefix+"below dead"))
	}
	require.Equal(t, []string{"8"}, s.run(`select count(*) from taskrunner.task where name <> 'failed'
		and created_at = now() and last_updated = now() and started_at is null and ended_at is not distinct from case when status = 'Failure' then now() end
		and success = 0 and failures = 0 and attempt = 1 and max_attempts = 1 and paused_from is null and not contacted
		and run_at is null and expected_count is null and timeout = 60 and priority = 0 and metadata = 'null' and rules = '[]' and not dead_end_barrier`))
	s.script("commit")
}

// states are the ways to stand in a status; each makes task "t" so. What a client may make of it by UPDATE is listed,
// everything else is refused.
var states = []struct {
	name    string
	prepare func(e *engine)
	status  string
	may     []string
}{
	{"waiting", func(e *engine) { e.waitingFor("t", "p") }, "Waiting", []string{"Paused", "Canceled"}},
	{"pending", func(e *engine) { e.tasks("t") }, "Pending", []string{"Claimed", "Paused", "Canceled"}},
	{
		"pending, contacted", func(e *engine) { e.claimed("t", "r"); e.goneStale("t"); e.line(sweepActive) }, "Pending",
		[]string{"Claimed", "Success", "Failure", "Paused", "Canceled"},
	},
	{"claimed", func(e *engine) { e.claimed("t", "r") }, "Claimed", []string{"Running", "Success", "Failure", "Paused", "Canceled"}},
	{"running", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running") }, "Running", []string{"Success", "Failure", "Paused", "Canceled"}},
	{"success", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Success") }, "Success", nil},
	{"failure", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Failure") }, "Failure", nil},
	{"cascade-failed", func(e *engine) { e.waitingFor("t", "p"); e.move("p", "Canceled") }, "Failure", nil},
	{"canceled", func(e *engine) { e.tasks("t"); e.move("t", "Canceled") }, "Canceled", nil},
	{"paused from waiting", func(e *engine) { e.waitingFor("t", "p"); e.move("t", "Paused") }, "Paused", []string{"Waiting", "Canceled"}},
	{
		"paused from waiting, parents done", func(e *engine) { e.waitingFor("t", "p"); e.move("t", "Paused"); e.move("p", "Claimed", "Success") }, "Paused",
		[]string{"Pending", "Canceled"},
	},
	{"paused from pending", func(e *engine) { e.tasks("t"); e.move("t", "Paused") }, "Paused", []string{"Pending", "Canceled"}},
	{"paused from pending, linked", func(e *engine) { e.tasks("p", "t"); e.move("t", "Paused"); e.links("p?t") }, "Paused", []string{"Waiting", "Canceled"}},
	{
		"paused from pending, contacted", func(e *engine) { e.claimed("t", "r"); e.failedStart("r", "t", ""); e.move("t", "Paused") }, "Paused",
		[]string{"Pending", "Success", "Failure", "Canceled"},
	},
	{"paused from claimed", func(e *engine) { e.claimed("t", "r"); e.move("t", "Paused") }, "Paused", []string{"Claimed", "Success", "Failure", "Canceled"}},
	{"paused from running", func(e *engine) { e.tasks("t"); e.move("t", "Claimed", "Running", "Paused") }, "Paused", []string{"Running", "Success", "Failure", "Canceled"}},
}

var statuses = []string{"Waiting", "Pending", "Claimed", "Running", "Failure", "Success", "Paused", "Canceled"}

func TestMatrix(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, from := range states {
		seen[from.status] = true
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			from.prepare(e)
			e.exec("update taskrunner.task set run_at = null where id = $1 and run_at is not null", id("t"))
			require.Equal(t, from.status, e.row("t")["status"])
			s := e.session("worker")
			for _, to := range statuses {
				before := e.row("t")
				s.script("begin")
				_, err := s.try(set(to, "t"))
				switch {
				case to == from.status:
					require.NoError(t, err, "the same status is no change")
					require.Equal(t, []string{from.status}, s.run("select status from taskrunner.task where id = $1", id("t")))
				case slices.Contains(from.may, to):
					require.NoError(t, err, "%s -> %s", from.name, to)
					require.Equal(t, []string{to}, s.run("select status from taskrunner.task where id = $1", id("t")))
					require.Empty(t, s.run("select * from taskrunner.check_invariants()"), "%s -> %s", from.name, to)
				default:
					pgErr := requireCode(t, err, "TR001", from.name, to)
					require.Equal(t, fmt.Sprintf("task %s: illegal transition %s -> %s", id("t"), from.status, to), pgErr.Message)
					require.Equal(t, from.status, pgErr.Detail)
				}
				s.script("rollback")
				require.Empty(t, changed(before, e.row("t")))
			}
		})
	}
	for _, status := range statuses {
		require.True(t, seen[status], status)
	}
}

// The functions refuse what the contract's section 4 refuses, naming the state.
func TestFunctionsRefuse(t *testing.T) {
	t.Parallel()
	for _, from := range states {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			from.prepare(e)
			terminal := from.may == nil
			for call, allowed := range map[string]bool{
				"cancel_task":         !terminal,
				"pause_task":          slices.Contains(from.may, "Paused"),
				"resume_task":         from.status == "Paused",
				"finish_task Success": slices.Contains(from.may, "Success"),
				"finish_task Failure": slices.Contains(from.may, "Failure"),
			} {
				function, status, _ := strings.Cut(call, " ")
				sql := fmt.Sprintf("select (taskrunner.%s('%s')).status", function, id("t"))
				if status != "" {
					sql = fmt.Sprintf("select (taskrunner.%s('%s', '%s')).status", function, id("t"), status)
				}
				s := e.session(call)
				s.script("begin")
				_, err := s.try(sql)
				if allowed {
					require.NoError(t, err, call)
				} else {
					require.Equal(t, from.status, requireCode(t, err, "TR001", call).Detail)
				}
				s.script("rollback")
			}
			// Many at once: those in a state that forbids it are skipped.
			require.Equal(t, slices.Contains(from.may, "Success"),
				len(e.lines("select * from taskrunner.finish_tasks(array[$1, $2]::uuid[], 'Success')", id("t"), id("unknown"))) == 1)
			e.lines("select * from taskrunner.cancel_tasks(array[$1, $2, $1, null]::uuid[])", id("t"), id("unknown"))
			require.Empty(t, e.lines("select * from taskrunner.cancel_tasks(array[$1]::uuid[])", id("t")))
			require.Empty(t, e.lines("select * from taskrunner.finish_tasks(array[$1]::uuid[], 'Failure')", id("t")))
		})
	}
}
