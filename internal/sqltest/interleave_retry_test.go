package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fenced reports a result for an attempt.
func fenced(task, status, attempt string) string {
	return "select (taskrunner.finish_task('" + id(task) + "', '" + status + "', 'x', " + attempt + ")).status"
}

// An attempt fails while somebody does something else to the task, in either order.
func TestRetryAndOthers(t *testing.T) {
	t.Parallel()
	retry := fenced("t", "Failure", "1")
	for name, tc := range map[string]struct{ first, second, end, code, want, deliveries string }{
		"retry, cancel":             {retry, call("cancel_task", "t"), commit, "", "Canceled|2", ""},
		"retry, cancel by update":   {retry, set("Canceled", "t"), commit, "", "Canceled|2", ""},
		"retry not done, cancel":    {retry, call("cancel_task", "t"), rollback, "", "Canceled|1", "cancel stop Pending"},
		"cancel, retry":             {call("cancel_task", "t"), retry, commit, "TR001", "Canceled|1", "cancel stop Pending"},
		"cancel not done, retry":    {call("cancel_task", "t"), retry, rollback, "", "Pending|2", ""},
		"retry, stop":               {retry, call("stop_batch", "b"), commit, "", "Canceled|2", ""},
		"stop, retry":               {call("stop_batch", "b"), retry, commit, "TR001", "Canceled|1", "cancel stop Pending"},
		"retry, pause":              {retry, call("pause_task", "t"), commit, "", "Paused|2", ""},
		"pause, retry":              {call("pause_task", "t"), retry, commit, "", "Paused|2", ""},
		"retry, late success":       {retry, fenced("t", "Success", "1"), commit, "TR005", "Pending|2", ""},
		"retry, second report":      {retry, retry, commit, "TR005", "Pending|2", ""},
		"retry, unfenced report":    {retry, finishTask("t", "Success"), commit, "TR001", "Pending|2", ""},
		"retry, direct failure":     {retry, set("Failure", "t"), commit, "TR001", "Pending|2", ""},
		"direct failure, retry":     {set("Failure", "t"), retry, commit, "TR001", "Failure|1", ""},
		"success, retry":            {fenced("t", "Success", "1"), retry, commit, "TR001", "Success|1", ""},
		"retry, progress":           {retry, "select taskrunner.add_progress('" + id("t") + "', 1, 0, 1)", commit, "TR005", "Pending|2", ""},
		"timeout, late report":      {sweepActive, retry, commit, "TR005", "Pending|2", "cancel stop Pending"},
		"timeout, late success":     {sweepActive, fenced("t", "Success", "1"), commit, "TR005", "Pending|2", "cancel stop Pending"},
		"timeout not done, success": {sweepActive, fenced("t", "Success", "1"), rollback, "", "Success|1", ""},
		"timeout, cancel":           {sweepActive, call("cancel_task", "t"), commit, "", "Canceled|2", "cancel stop Pending"},
		"timeout, pause":            {sweepActive, call("pause_task", "t"), commit, "", "Paused|2", "cancel stop Pending"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.exec("insert into taskrunner.batch (id) values ('" + id("b") + "')")
			e.retryingIn("b", "t", 2)
			e.tasks("child")
			e.links("t?child")
			e.action("t", "Cancel", "stop")
			e.running("t")
			if tc.first == sweepActive {
				e.exec("update taskrunner.task set last_updated = now() - interval '1 day' where id = $1", id("t"))
			}
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			if tc.code != "" {
				e.requireFails(waits, tc.code)
			} else {
				e.requireEnds(waits)
			}
			require.Equal(t, tc.want, e.line("select status, attempt from taskrunner.task where id = $1", id("t")))
			want := []string{"start start Delivered"}
			if tc.deliveries != "" {
				want = []string{tc.deliveries, "start start Delivered"}
			}
			require.Equal(t, want, e.deliveries("t"))
		})
	}
}

// A report that is not committed: the sweep, which never waits, leaves the task alone, and finds the retry done later.
func TestReportAndTimeout(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.retrying("t", 3)
	e.running("t")
	e.exec("update taskrunner.task set last_updated = now() - interval '1 day' where id = $1", id("t"))
	first := e.session("first")
	first.script("begin; " + fenced("t", "Failure", "1"))
	require.Equal(t, "0|0|0", e.line(sweepActive))
	first.run(commit)
	require.Equal(t, "0|0|0", e.line(sweepActive))
	require.Equal(t, "Pending|2|x", e.line("select status, attempt, failure_reason from taskrunner.task"))
}

// The answer of on_start against a pause, a report and a resume, with attempts left.
func TestRetryAndOnStart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first, second func(e *engine) string
		want, queue   string
		deliveries    string
	}{
		"pause, failed for good":  {pauseOf, failedForGood, "Paused from Pending|1|f", "paused", "start start Canceled"},
		"pause, delivered":        {pauseOf, started, "Paused from Running|1|f", "", "start start Delivered"},
		"failed for good, pause":  {failedForGood, pauseOf, "Paused from Pending|2|t", "paused", "start start Failed"},
		"delivered, pause":        {started, pauseOf, "Paused from Running|1|f", "", "start start Delivered"},
		"report, delivered":       {reportOf, started, "Pending|2|t", "scheduled", "start start Delivered"},
		"report, failed for good": {reportOf, failedForGood, "Pending|2|t", "scheduled", ""},
		"delivered, report":       {started, reportOf, "Pending|2|t", "scheduled", "start start Delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.retrying("t", 2)
			require.Equal(t, []string{"t"}, e.claim("r", 1))
			one, two := tc.first(e), tc.second(e)
			first, second := e.pair()
			first.script("begin; " + one)
			waits := second.begins(two)
			first.run(commit)
			e.requireEnds(waits)
			require.Equal(t, tc.want, e.line(`select status || coalesce(' from ' || paused_from, ''), attempt, run_at is not null from taskrunner.task`))
			require.Equal(t, tc.queue, e.line("select coalesce(max(state::text), '') from taskrunner_private.queued_task"))
			want := []string{}
			if tc.deliveries != "" {
				want = []string{tc.deliveries}
			}
			require.Equal(t, want, e.deliveries("t"))
		})
	}
	t.Run("failed, then a report, then a pause", func(t *testing.T) {
		t.Parallel()
		e := setup(t)
		e.retrying("t", 3)
		require.Equal(t, []string{"t"}, e.claim("r", 1))
		e.move("t", "Paused")
		e.exec(reportOf(e))
		require.Equal(t, "Paused|Pending|2", e.line("select status, paused_from, attempt from taskrunner.task"))
		e.exec(call("resume_task", "t"))
		require.Empty(t, e.claim("r", 1), "not before run_at")
		e.makeReady("t")
		require.Equal(t, []string{"t"}, e.claim("r", 1))
	})
}

func pauseOf(*engine) string  { return call("pause_task", "t") }
func reportOf(*engine) string { return fenced("t", "Failure", "1") }

func failedForGood(e *engine) string {
	return "select * from taskrunner_private.fail_starts('" + id("r") + "', '" + e.tries("t", `{"error": "HTTP 400", "permanent": true}`) + "', 1000)"
}
