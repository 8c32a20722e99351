package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// full is a task with an action of every kind, the path of each being "/<name>/<kind>".
func (r *receiver) full(name string, more entry) entry {
	e := entry{"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": r.hook("/" + name + "/start")}
	for _, kind := range []string{"success", "failure", "cancel"} {
		e["on_"+kind] = []any{r.hook("/" + name + "/" + kind)}
	}
	for key, value := range more {
		e[key] = value
	}
	return e
}

// The table of the contract's section 8.8: who is called after what. Each event happens to a task with a child that requires it, and
// this has one of its own. What nobody may be called for is known when everything that is owed has been delivered.
func TestWhatFires(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--webhook-start-backoff-ms=0", "--worker-webhook-concurrency=40")
	hooks := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		switch c.path {
		case "/refused/start", "/again-refused/start":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	const attempts = 2
	retry := map[string]any{"max_attempts": attempts, "initial_delay_secs": 3600, "max_delay_secs": 3600}
	patch := func(status string) func(*testing.T, task.Task) {
		return func(t *testing.T, of task.Task) {
			require.Equal(t, http.StatusOK, do(t, http.MethodPatch, r.url+"/task/"+of.ID.String(),
				map[string]any{"status": status, "failure_reason": "reported"}, nil))
		}
	}
	call := func(method, path string) func(*testing.T, task.Task) {
		return func(t *testing.T, of task.Task) {
			require.Equal(t, http.StatusOK, do(t, method, r.url+strings.ReplaceAll(path, "{}", of.ID.String()), nil, nil))
		}
	}
	silent := func(*testing.T, task.Task) {}
	events := map[string]struct {
		more    entry                       // of the task
		status  task.Status                 // before the event
		do      func(*testing.T, task.Task) // the event
		end     task.Status                 // after it
		fires   []string                    // of the task, without on_start
		cascade bool                        // its descendants' on_failure
	}{
		"success":        {nil, task.Running, patch("Success"), task.Success, []string{"success"}, false},
		"failure":        {nil, task.Running, patch("Failure"), task.Failure, []string{"failure"}, true},
		"again-failure":  {entry{"retry": retry}, task.Running, patch("Failure"), task.Pending, nil, false},
		"refused":        {nil, "", silent, task.Failure, []string{"failure"}, true},
		"again-refused":  {entry{"retry": retry}, "", silent, task.Pending, nil, false},
		"timeout":        {entry{"timeout": 1}, "", silent, task.Failure, []string{"cancel", "failure"}, true},
		"again-timeout":  {entry{"timeout": 1, "retry": retry}, "", silent, task.Pending, []string{"cancel"}, false},
		"canceled":       {nil, task.Running, call(http.MethodDelete, "/task/{}"), task.Canceled, []string{"cancel"}, true},
		"canceled-early": {entry{"run_at": "9999-01-01T00:00:00Z"}, task.Pending, call(http.MethodDelete, "/task/{}"), task.Canceled, nil, true},
		"paused":         {nil, task.Running, call(http.MethodPatch, "/task/pause/{}"), task.Paused, nil, false},
		"canceled-paused": {nil, task.Running, func(t *testing.T, of task.Task) {
			call(http.MethodPatch, "/task/pause/{}")(t, of)
			call(http.MethodDelete, "/task/{}")(t, of)
		}, task.Canceled, []string{"cancel"}, true},
		"resumed": {nil, task.Running, func(t *testing.T, of task.Task) {
			call(http.MethodPatch, "/task/pause/{}")(t, of)
			call(http.MethodPatch, "/task/resume/{}")(t, of)
		}, task.Running, nil, false},
	}
	var entries []entry
	for name, event := range events {
		entries = append(entries, hooks.full(name, event.more),
			hooks.full(name+"-child", entry{"dependencies": needs(name)}),
			hooks.full(name+"-grandchild", entry{"dependencies": needs(name + "-child")}))
	}
	tasks := r.submit(t, entries...)
	want := map[string][]string{} // by task
	for name, event := range events {
		of := tasks[name]
		if event.status != "" {
			r.await(t, of.ID, event.status)
		}
		event.do(t, of)
		require.Eventually(t, func() bool {
			got := r.task(t, of.ID)
			return got.Status == event.end && (event.more["retry"] == nil || got.Attempt == attempts)
		}, patience, 20*time.Millisecond, "%s does not become %s", name, event.end)
		want[name] = event.fires
		if event.cascade {
			want[name+"-child"], want[name+"-grandchild"] = []string{"failure"}, []string{"failure"}
		}
		if name == "success" {
			r.await(t, tasks["success-child"].ID, task.Running)
		}
	}

	// A child of one that has failed is created as Failure. One of another batch sees a stopped task as canceled; those of the
	// stopped batch hear nothing. A dead end is canceled, and hears of it.
	stopped := r.submit(t, hooks.full("stopped", nil), hooks.full("stopped-early", entry{"dependencies": needs("stopped")}))
	other := r.submit(t,
		hooks.full("outside", entry{"dependencies": []any{map[string]any{"task_id": stopped["stopped"].ID, "requires_success": true}}}),
		hooks.full("born-failed", entry{"dependencies": []any{map[string]any{"task_id": tasks["failure"].ID, "requires_success": true}}}))
	var dead []task.Task
	require.Equal(t, http.StatusCreated, do(t, http.MethodPost, r.url+"/task", map[string]any{"dead_end_cancel": true, "tasks": []any{
		hooks.full("dead-end", nil), hooks.full("dead-end-child", entry{"dependencies": needs("dead-end")}),
	}}, &dead))
	r.await(t, stopped["stopped"].ID, task.Running)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/batch/"+stopped["stopped"].BatchID.String(), nil, nil))
	r.await(t, dead[0].ID, task.Running)
	call(http.MethodDelete, "/task/{}")(t, dead[1])
	r.await(t, dead[0].ID, task.Canceled)
	r.await(t, other["outside"].ID, task.Failure)
	for name, fires := range map[string][]string{
		"stopped": {"cancel"}, "outside": {"failure"}, "born-failed": {"failure"}, "dead-end": {"cancel", "failure"},
	} {
		want[name] = fires
	}

	var list []task.DeliveryInfo
	require.Eventually(t, func() bool {
		for _, status := range []string{"Pending", "Sending"} {
			for _, trigger := range []string{"End", "Cancel"} {
				do(t, http.MethodGet, r.url+"/deliveries?status="+status+"&trigger="+trigger, nil, &list)
				if len(list) > 0 {
					return false
				}
			}
		}
		return true
	}, patience, 20*time.Millisecond)
	got := map[string][]string{}
	keys := map[string]bool{}
	for _, c := range hooks.got("") {
		name, kind, _ := strings.Cut(c.path[1:], "/")
		if kind == "start" {
			continue
		}
		require.False(t, keys[c.key], "called once")
		keys[c.key] = true
		got[name] = append(got[name], kind)
		id, event, _ := strings.Cut(c.key, ":")
		require.NoError(t, uuid.Validate(id))
		require.Equal(t, map[string]string{"success": "end:success", "failure": "end:failure", "cancel": "cancel"}[kind], event)
	}
	for name := range want {
		slices.Sort(got[name])
		if len(want[name]) == 0 {
			delete(want, name)
		}
	}
	require.Equal(t, want, got)
}
