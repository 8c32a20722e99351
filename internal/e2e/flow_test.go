package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func needs(names ...string) []map[string]any {
	var list []map[string]any
	for _, name := range names {
		list = append(list, map[string]any{"id": name, "requires_success": true})
	}
	return list
}

func TestDiamond(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	hooks := succeeding(t)
	var entries []entry
	for name, parents := range map[string][]string{"a": nil, "b": {"a"}, "c": {"a"}, "d": {"b", "c"}} {
		entries = append(entries, entry{
			"id": name, "name": name, "kind": "diamond", "dependencies": needs(parents...),
			"on_start": hooks.hook("/start/" + name), "on_success": []any{hooks.hook("/done/" + name)},
			"on_failure": []any{hooks.hook("/failed/" + name)},
		})
	}
	tasks := r.submit(t, entries...)
	at := map[string]call{}
	for name, created := range tasks {
		r.await(t, created.ID, task.Success)
		at[name] = hooks.awaitCalls(t, "/start/"+name, 1)[0]
		done := hooks.awaitCalls(t, "/done/"+name, 1)[0]
		require.Equal(t, created.ID.String()+":end:success", done.key)
		require.Equal(t, "end", done.trigger)
		require.Equal(t, created.BatchID.String(), done.header.Get("X-Batch-Id"))
		require.Equal(t, created.ID.String()+":start", at[name].key)
		require.Equal(t, "1", at[name].header.Get("X-Task-Attempt"))
		require.True(t, strings.HasPrefix(at[name].handle, r.url+"/task/"+created.ID.String()+"?attempt=1&token="), at[name].handle)
		require.Empty(t, hooks.got("/failed/"+name))
	}
	for _, order := range []string{"ab", "ac", "bd", "cd"} {
		parent, child := order[:1], order[1:]
		require.True(t, at[parent].at.Before(at[child].at), "%s starts before %s", child, parent)
	}
	var batch task.Batch
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/batch/"+tasks["a"].BatchID.String(), nil, &batch))
	require.EqualValues(t, 4, batch.StatusCounts.Success)

	r.stop() // so that the last results are counted
	require.Len(t, hooks.got(""), 8)
}

func TestMetricsAreUpdated(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	hooks := succeeding(t)
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "counted", "on_start": hooks.hook("/start")})["a"]
	r.await(t, created.ID, task.Success)
	want := []string{
		"tasks_created_total 1",
		`task_status_transitions_total{from_status="Pending",to_status="Claimed"} 1`,
		`tasks_completed_total{kind="counted",outcome="Success"} 1`,
		`webhook_attempts_total{outcome="success",trigger="start"} 1`,
		`webhook_duration_seconds_count{trigger="start"} 1`,
		`webhooks_in_flight{phase="start"} 0`,
		`api_http_requests_total{endpoint="/task",method="POST",status="201"} 1`,
		"tasks_processed_per_loop_sum 1",
		"listener_connected 1",
	}
	require.Eventually(t, func() bool {
		text := r.metrics(t)
		for _, line := range want {
			if !strings.Contains(text, line+"\n") {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond, "want %v in\n%s", want, r.metrics(t))
	require.Equal(t, http.StatusNotFound, do(t, http.MethodGet, r.url+"/nowhere", nil, nil))
	require.Contains(t, r.metrics(t), `api_http_requests_total{endpoint="unmatched",method="GET",status="404"} 1`)
}

func TestTwoReplicasStartEachTaskOnce(t *testing.T) {
	t.Parallel()
	const n = 1000
	db := newDB(t)
	a := startReplica(t, db, "--worker-webhook-concurrency=20")
	b := startReplica(t, db, "--worker-webhook-concurrency=20")
	hooks := succeeding(t)
	var entries []entry
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "many", "on_start": hooks.hook("/start")})
	}
	tasks := a.submit(t, entries...)
	var batch task.Batch
	require.Eventually(t, func() bool {
		do(t, http.MethodGet, b.url+"/batch/"+tasks["t0"].BatchID.String(), nil, &batch)
		return batch.StatusCounts.Success == n
	}, 2*patience, 100*time.Millisecond, "not all tasks end")
	times := map[string]int{}
	for _, c := range hooks.got("/start") {
		times[c.key]++
	}
	require.Len(t, times, n)
	for key, count := range times {
		require.Equal(t, 1, count, key)
	}
}

// A call that fails for a while is made again after a pause, with the same key; one that fails for good ends the task.
func TestFailedStarts(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--webhook-start-backoff-ms=200", "--webhook-backoff-secs=1")
	var flaky, ends atomic.Int32
	hooks := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		switch {
		case c.path == "/flaky" && flaky.Add(1) < 3, c.path == "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case c.path == "/gone-wrong":
			w.WriteHeader(http.StatusNotFound)
		case c.path == "/failed/wrong" && ends.Add(1) < 2:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	tasks := r.submit(t,
		entry{"id": "flaky", "name": "flaky", "kind": "k", "on_start": hooks.hook("/flaky")},
		entry{"id": "down", "name": "down", "kind": "k", "on_start": hooks.hook("/down"), "on_failure": []any{hooks.hook("/failed/down")}},
		entry{"id": "wrong", "name": "wrong", "kind": "k", "on_start": hooks.hook("/gone-wrong"), "on_failure": []any{hooks.hook("/failed/wrong")}},
		entry{"id": "child", "name": "child", "kind": "k", "on_start": hooks.hook("/never"), "dependencies": needs("wrong")},
	)
	running := r.await(t, tasks["flaky"].ID, task.Running)
	require.EqualValues(t, 1, running.Attempt)
	tries := hooks.awaitCalls(t, "/flaky", 3)
	for i := 1; i < len(tries); i++ {
		require.Equal(t, tries[0].key, tries[i].key)
		least := 150 * time.Millisecond << (i - 1) // three quarters of the backoff, doubled each time
		require.GreaterOrEqual(t, tries[i].at.Sub(tries[i-1].at), least)
	}
	down := r.await(t, tasks["down"].ID, task.Failure)
	require.Equal(t, "on_start webhook failed: HTTP 503", *down.FailureReason)
	require.Len(t, hooks.awaitCalls(t, "/down", 3), 3)
	require.Equal(t, down.ID.String()+":end:failure", hooks.awaitCalls(t, "/failed/down", 1)[0].key)

	wrong := r.await(t, tasks["wrong"].ID, task.Failure)
	require.Equal(t, "on_start webhook failed: HTTP 404", *wrong.FailureReason)
	hooks.awaitCalls(t, "/gone-wrong", 1)
	child := r.await(t, tasks["child"].ID, task.Failure)
	require.Equal(t, "Required parent task "+wrong.ID.String()+" failed", *child.FailureReason)
	failed := hooks.awaitCalls(t, "/failed/wrong", 2) // the first was answered with 500
	require.Equal(t, failed[0].key, failed[1].key)
	require.GreaterOrEqual(t, failed[1].at.Sub(failed[0].at), 900*time.Millisecond)

	r.stop()
	require.Empty(t, hooks.got("/never"))
	statuses := map[string]string{}
	rows, err := db.Pool.Query(t.Context(), "select trigger || ' ' || task_id, status || ' ' || tries from taskrunner.delivery")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var key, value string
		require.NoError(t, rows.Scan(&key, &value))
		statuses[key] = value
	}
	require.NoError(t, rows.Err())
	require.Equal(t, map[string]string{
		"Start " + running.ID.String(): "Delivered 3", "Start " + down.ID.String(): "Failed 3", "End " + down.ID.String(): "Delivered 1",
		"Start " + wrong.ID.String(): "Failed 1", "End " + wrong.ID.String(): "Delivered 2",
	}, statuses)
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	hooks := newReceiver(t, nil)
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "timeout": 1, "on_start": hooks.hook("/start"),
		"on_failure": []any{hooks.hook("/failed")}})["a"]
	got := r.await(t, created.ID, task.Failure)
	require.Equal(t, "Timeout", *got.FailureReason)
	require.NotNil(t, got.StartedAt)
	// Both times are those of the beginning of their transactions.
	require.GreaterOrEqual(t, got.EndedAt.Sub(*got.StartedAt), 900*time.Millisecond)
	require.Less(t, got.EndedAt.Sub(*got.StartedAt), 5*time.Second)
	hooks.awaitCalls(t, "/failed", 1)
}

func TestWorkerDisabled(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	quiet := startReplica(t, db, "--worker-enabled=0")
	hooks := succeeding(t)
	created := quiet.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start")})["a"]
	quiet.staysPending(t, created.ID)
	var replicas int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner_private.replica").Scan(&replicas))
	require.Zero(t, replicas)

	startReplica(t, db) // one that works
	quiet.await(t, created.ID, task.Success)
}
