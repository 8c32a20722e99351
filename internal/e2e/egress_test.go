package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Where webhooks may not go, HTTP creates none; those that SQL has created fail at once when they are called, and an answer of
// on_start registers none. Replicas of these tests may call 127.0.0.1 and nothing else inside.
func TestBlockedAddresses(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--webhook-start-backoff-ms=1", "--webhook-backoff-secs=0")
	var hooks *receiver
	blocked := func(path string) map[string]any {
		hook := hooks.hook(path)
		params := hook["params"].(map[string]any)
		params["url"] = strings.Replace(params["url"].(string), "//127.0.0.1", "//0x7f000002", 1) // no other address that leads here
		return hook
	}
	hooks = newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		switch c.path {
		case "/success":
			hooks.report(t, c)
		case "/answer":
			raw, err := json.Marshal(blocked("/cancel"))
			if err != nil {
				t.Errorf("answer: %v", err)
			}
			_, _ = io.WriteString(w, string(raw))
		}
	})
	entries := []entry{
		{"id": "start", "name": "start", "kind": "k", "on_start": blocked("/start"), "retry": map[string]any{"max_attempts": 1}},
		{"id": "end", "name": "end", "kind": "k", "on_start": hooks.hook("/success"), "on_success": []any{blocked("/end")}},
		{"id": "cancel", "name": "cancel", "kind": "k", "timeout": 3600, "on_start": hooks.hook("/run"), "on_cancel": []any{blocked("/cancel")}},
		{"id": "answer", "name": "answer", "kind": "k", "timeout": 3600, "on_start": hooks.hook("/answer")},
	}
	var refused struct{ Details []string }
	require.Equal(t, http.StatusBadRequest, do(t, http.MethodPost, r.url+"/task", entries, &refused))
	const fault = ": url must not lead to a blocked address (SSRF_ALLOW permits exceptions)"
	require.Equal(t, []string{"tasks[0].on_start.params" + fault, "tasks[1].on_success[0].params" + fault, "tasks[2].on_cancel[0].params" + fault},
		refused.Details)

	body, err := json.Marshal(entries)
	require.NoError(t, err)
	ids := map[string]uuid.UUID{}
	rows, err := db.Pool.Query(t.Context(), "select local_id, task_id from taskrunner.submit_batch($1)", body)
	require.NoError(t, err)
	for rows.Next() {
		var name string
		var id uuid.UUID
		require.NoError(t, rows.Scan(&name, &id))
		ids[name] = id
	}
	require.NoError(t, rows.Err())

	got := r.await(t, ids["start"], task.Failure)
	require.Equal(t, "on_start webhook failed: blocked address", *got.FailureReason)
	requireLog(t, r.awaitDelivery(t, ids["start"], "Start", "Failed"), "blocked", 1, "blocked address")
	requireLog(t, r.awaitDelivery(t, ids["end"], "End", "Failed"), "blocked", 1, "blocked address")
	for _, name := range []string{"cancel", "answer"} {
		r.await(t, ids[name], task.Running)
		require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+ids[name].String(), nil, nil))
	}
	requireLog(t, r.awaitDelivery(t, ids["cancel"], "Cancel", "Failed"), "blocked", 1, "blocked address")
	require.Len(t, r.task(t, ids["answer"]).Actions, 1, "the action in the answer was dropped")
	for _, path := range []string{"/start", "/end", "/cancel"} {
		require.Empty(t, hooks.got(path))
	}
}
