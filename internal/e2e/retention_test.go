package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Two replicas remove what has ended: each task once, and their metrics say so. What lives stays, and so does what a webhook is owed
// for.
func TestRetention(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	hooks := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		if c.path == "/refused" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	flags := []string{"--retention-enabled=1", "--retention-days=0", "--retention-cleanup-interval-secs=2", "--retention-batch-size=2"}
	replicas := []*replica{startReplica(t, db, flags...), startReplica(t, db, flags...)}
	r := replicas[0]
	running := r.submit(t, entry{"id": "running", "name": "running", "kind": "k", "on_start": hooks.hook("/start")})["running"]
	owed := r.submit(t, entry{"id": "owed", "name": "owed", "kind": "k", "on_start": hooks.hook("/start"), "on_success": []any{hooks.hook("/refused")}})["owed"]
	told := r.submit(t, entry{"id": "told", "name": "told", "kind": "k", "on_start": hooks.hook("/start"), "on_success": []any{hooks.hook("/done")}})["told"]
	for _, one := range []task.Task{running, owed, told} {
		r.await(t, one.ID, task.Running)
	}
	for _, one := range []task.Task{owed, told} {
		require.Equal(t, http.StatusOK, do(t, http.MethodPatch, r.url+"/task/"+one.ID.String(), map[string]any{"status": "Success"}, nil))
	}
	gone := []uuid.UUID{told.ID}
	for range 4 {
		one := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start")})["a"]
		require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+one.ID.String(), nil, nil))
		gone = append(gone, one.ID)
	}
	require.Eventually(t, func() bool {
		for _, id := range gone {
			if do(t, http.MethodGet, r.url+"/task/"+id.String(), nil, nil) != http.StatusNotFound {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond)
	r.task(t, running.ID)
	require.Equal(t, task.Success, r.task(t, owed.ID).Status)

	count := func(name string) (n int) {
		for _, r := range replicas {
			found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindStringSubmatch(r.metrics(t))
			require.NotNil(t, found, name)
			one, err := strconv.Atoi(found[1])
			require.NoError(t, err)
			n += one
		}
		return n
	}
	const runs = `retention_cleanup_runs_total{outcome="success"}`
	require.Equal(t, len(gone), count("retention_tasks_cleaned_total"))
	require.Eventually(t, func() bool { return count(runs) > 1 }, patience, 20*time.Millisecond)
	require.Zero(t, count(`retention_cleanup_runs_total{outcome="error"}`))
	require.Positive(t, count("retention_cleanup_duration_seconds_count"))

	// A run that fails counts too.
	_, err := db.Pool.Exec(t.Context(), "revoke execute on function taskrunner_private.prune(integer, integer, jsonb) from taskrunner_service")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return count(`retention_cleanup_runs_total{outcome="error"}`) > 0 }, patience, 20*time.Millisecond)
}

// Without RETENTION_ENABLED nobody asks for a turn, and nothing goes.
func TestRetentionIsOffByDefault(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--retention-days=0", "--retention-cleanup-interval-secs=1")
	one := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": newReceiver(t, nil).hook("/start")})["a"]
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+one.ID.String(), nil, nil))
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		r.task(t, one.ID)
	}
	require.True(t, strings.Contains(r.metrics(t), "\nretention_cleanup_runs_total{outcome=\"success\"} 0\n"))
	var turns int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner_private.chore where name = 'prune' and next_at > '-infinity'").Scan(&turns))
	require.Zero(t, turns)
}
