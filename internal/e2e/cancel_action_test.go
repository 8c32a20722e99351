package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// A target answers on_start with what cancels its work: it is called when the task is canceled, and at once if that has
// happened while the call was open. An answer that is too long starts the task all the same.
func TestCancelActionsInAnswers(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	answer := make(chan struct{})
	var hooks *receiver
	hooks = newReceiver(t, func(w http.ResponseWriter, req *http.Request, c call) {
		action := hooks.hook("/cancel" + c.path)
		action["params"].(map[string]any)["verb"] = "Delete"
		action["params"].(map[string]any)["headers"] = map[string]any{"Authorization": "Bearer secret"}
		switch c.path {
		case "/late":
			select {
			case <-answer:
			case <-req.Context().Done():
			}
		case "/long":
			action["job"] = strings.Repeat("x", 64<<10)
		case "/invalid":
			action["params"].(map[string]any)["headers"] = map[string]any{"Webhook-Id": "mine"}
		}
		w.Header().Set("Content-Type", "text/plain")
		raw, err := json.Marshal(action)
		if err != nil {
			t.Errorf("answer: %v", err)
		}
		_, _ = io.WriteString(w, string(raw))
	})
	var entries []entry
	for _, name := range []string{"in-time", "late", "long", "invalid"} {
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": hooks.hook("/" + name),
			"on_cancel": []any{hooks.hook("/own/" + name)}})
	}
	tasks := r.submit(t, entries...)
	cancel := func(name string) {
		t.Helper()
		require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+tasks[name].ID.String(), nil, nil))
	}

	got := r.await(t, tasks["in-time"].ID, task.Running)
	require.Len(t, got.Actions, 3)
	registered := got.Actions[2]
	require.Equal(t, "Cancel", registered.Trigger)
	require.JSONEq(t, `{"url": "`+hooks.url+`/cancel/in-time", "verb": "Delete", "body": {"path": "/cancel/in-time"},
		"headers": {"Authorization": "***"}}`, string(registered.Params))
	require.Equal(t, `{"kind":"Webhook","params":"***"}`, *r.awaitDelivery(t, got.ID, "Start", "Delivered").Attempts[0].Response, "it held a secret")
	cancel("in-time")
	c := hooks.awaitCalls(t, "/cancel/in-time", 1)[0]
	require.Equal(t, tasks["in-time"].ID.String()+":cancel:2", c.key)
	require.Equal(t, "cancel", c.trigger)
	require.Equal(t, "Bearer secret", c.header.Get("Authorization"))
	hooks.awaitCalls(t, "/own/in-time", 1)

	hooks.awaitCalls(t, "/late", 1)
	cancel("late")
	require.Equal(t, tasks["late"].ID.String()+":cancel", hooks.awaitCalls(t, "/own/late", 1)[0].key)
	require.Empty(t, hooks.got("/cancel/late"))
	close(answer)
	require.Equal(t, tasks["late"].ID.String()+":cancel:2", hooks.awaitCalls(t, "/cancel/late", 1)[0].key)

	for _, name := range []string{"long", "invalid"} {
		require.Len(t, r.await(t, tasks[name].ID, task.Running).Actions, 2)
		cancel(name)
		hooks.awaitCalls(t, "/own/"+name, 1)
	}
	r.stop()
	require.Empty(t, hooks.got("/cancel/long"))
	require.Empty(t, hooks.got("/cancel/invalid"))
	for _, c := range hooks.got("") { // every call was answered so
		require.False(t, strings.HasPrefix(c.path, "/cancel/own") || strings.HasPrefix(c.path, "/cancel/cancel"),
			"answers to End and Cancel calls are never interpreted")
	}
}

// The answer with the cancel action can be written only when the claim is long stale and the task canceled: the action is called all
// the same, since nobody else knows it.
func TestCancelActionOutlastsItsClaim(t *testing.T) {
	t.Parallel()
	const claimTimeout = 4
	db := newDB(t)
	r := startReplica(t, db, "--webhook-timeout-secs", fmt.Sprint(claimTimeout-1), "--worker-claim-timeout-secs", fmt.Sprint(claimTimeout))
	answer := make(chan struct{})
	var hooks *receiver
	hooks = newReceiver(t, func(w http.ResponseWriter, req *http.Request, c call) {
		if c.path == "/start" {
			select {
			case <-answer:
			case <-req.Context().Done():
			}
			assert.NoError(t, json.NewEncoder(w).Encode(hooks.hook("/cancel")))
		}
	})
	id := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "timeout": 3600, "on_start": hooks.hook("/start")})["a"].ID
	hooks.awaitCalls(t, "/start", 1)
	tx, err := testdb.ConnectTo(t, db.DSN).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table taskrunner.action in share mode") // nothing is registered from here on
	require.NoError(t, err)
	close(answer)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+id.String(), nil, nil))
	time.Sleep((claimTimeout + 1) * time.Second)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, id.String()+":cancel", hooks.awaitCalls(t, "/cancel", 1)[0].key)
}
