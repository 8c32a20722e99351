package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// tell reports by the handle of a call.
func tell(t *testing.T, c call, body string) {
	t.Helper()
	if status := send(client, http.MethodPatch, c.handle, body); status != http.StatusOK {
		t.Errorf("%s: %d", body, status)
	}
}

// The program fails twice and then does its work: nobody else hears of the first two attempts.
func TestFailsTwiceThenSucceeds(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	var hooks *receiver
	hooks = newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, c call) {
		if c.path != "/start" {
			return
		}
		result := `{"status": "Failure", "failure_reason": "attempt ` + c.header.Get("X-Task-Attempt") + `", "new_success": 1}`
		if c.header.Get("X-Task-Attempt") == "3" {
			result = `{"status": "Success", "new_success": 1}`
		}
		hooks.work.Go(func() { tell(t, c, result) })
	})
	created := r.submit(t,
		entry{
			"id": "t", "name": "t", "kind": "k", "on_start": hooks.hook("/start"), "on_failure": []any{hooks.hook("/failure")},
			"on_success": []any{hooks.hook("/success")}, "retry": map[string]any{"max_attempts": 3, "initial_delay_secs": 0.3},
		},
		entry{
			"id": "c", "name": "c", "kind": "k", "on_start": hooks.hook("/child"),
			"dependencies": []any{map[string]any{"id": "t", "requires_success": true}},
		})
	id := created["t"].ID
	got := r.await(t, id, task.Success)
	require.Equal(t, int32(3), got.Attempt)
	require.Equal(t, int32(3), got.MaxAttempts)
	require.Equal(t, int64(1), got.Success)
	require.Nil(t, got.FailureReason)

	starts := hooks.awaitCalls(t, "/start", 3)
	for i, key := range []string{":start", ":start:a2", ":start:a3"} {
		require.Equal(t, id.String()+key, starts[i].key)
	}
	require.Equal(t, id.String()+":end:success:a3", hooks.awaitCalls(t, "/success", 1)[0].key)
	hooks.awaitCalls(t, "/child", 1)
	require.Empty(t, hooks.got("/failure"))
	for _, old := range starts[:2] {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch} {
			require.Equal(t, http.StatusConflict, send(client, method, old.handle, `{"new_success": 1}`), method)
		}
	}
}

// kill -9 of the only replica between two attempts: another one makes the next.
func TestKillBetweenAttempts(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	hooks := newReceiver(t, nil)
	first := startProcess(t, db)
	id := first.submit(t, entry{
		"id": "t", "name": "t", "kind": "k", "on_start": hooks.hook("/start"),
		"retry": map[string]any{"max_attempts": 2, "initial_delay_secs": 86400, "max_delay_secs": 86400},
	})["t"].ID
	hooks.awaitCalls(t, "/start", 1)
	var waiting task.Task
	require.Equal(t, http.StatusOK, do(t, http.MethodPatch, first.url+"/task/"+id.String()+"?attempt=1",
		map[string]any{"status": "Failure", "failure_reason": "once"}, &waiting))
	require.Equal(t, task.Pending, waiting.Status)
	require.Equal(t, int32(2), waiting.Attempt)
	require.NotNil(t, waiting.RunAt)
	require.NoError(t, first.cmd.Process.Kill())
	<-first.exited

	second := startProcess(t, db)
	require.Equal(t, waiting.RunAt, second.task(t, id).RunAt)
	_, err := db.Pool.Exec(t.Context(), "update taskrunner.task set run_at = now() + interval '300 milliseconds' where id = $1", id)
	require.NoError(t, err)
	starts := hooks.awaitCalls(t, "/start", 2)
	require.Equal(t, id.String()+":start:a2", starts[1].key)
	require.Equal(t, "once", *second.await(t, id, task.Running).FailureReason)
	require.Equal(t, http.StatusOK, do(t, http.MethodPatch, second.url+"/task/"+id.String(), map[string]any{"status": "Success"}, nil))
}

// Tasks start at their run_at and not before, also one whose moment is brought forward; others pass them meanwhile.
func TestRunAt(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	hooks := newReceiver(t, nil)
	at := time.Now().Add(700 * time.Millisecond)
	created := r.submit(t,
		entry{"id": "s", "name": "soon", "kind": "k", "priority": 9, "run_at": at, "on_start": hooks.hook("/soon")},
		entry{"id": "l", "name": "late", "kind": "k", "priority": 9, "run_at": at.Add(time.Hour), "on_start": hooks.hook("/late")},
		entry{"id": "n", "name": "now", "kind": "k", "on_start": hooks.hook("/now")})
	hooks.awaitCalls(t, "/now", 1)
	soon := hooks.awaitCalls(t, "/soon", 1)[0]
	require.False(t, soon.at.Before(at))
	t.Logf("started %v after run_at", soon.at.Sub(at))

	require.Empty(t, hooks.got("/late"))
	require.Equal(t, task.Pending, r.task(t, created["late"].ID).Status)
	_, err := db.Pool.Exec(t.Context(), "update taskrunner.task set run_at = now() where id = $1", created["late"].ID)
	require.NoError(t, err)
	hooks.awaitCalls(t, "/late", 1)
}
