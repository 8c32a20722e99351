package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// inState creates a task and brings it to a state: a status, or "Paused from <status>".
func (b *testBundle) inState(t *testing.T, state string) uuid.UUID {
	t.Helper()
	if from, ok := strings.CutPrefix(state, "Paused from "); ok {
		id := b.inState(t, from)
		b.ok(t, http.StatusOK, "PATCH", "/task/pause/"+id.String(), nil, nil)
		return id
	}
	if state == "Waiting" {
		return b.submit(t, entry("parent"), entry("a", "parent"))[1].ID
	}
	id := b.submit(t, entry("a"))[0].ID
	switch state {
	case "Claimed", "Running", "Success", "Failure":
		b.exec(t, "update taskrunner.task set status = 'Claimed' where id = $1", id)
	}
	switch state {
	case "Pending", "Claimed":
	case "Running", "Success", "Failure", "Canceled":
		b.exec(t, "update taskrunner.task set status = $2::text::taskrunner.status_kind where id = $1", id, state)
	default:
		require.FailNow(t, "no such state", state)
	}
	return id
}

// Every state, paused and resumed: what the task is then, or 409 with what it is (contract, sections 4.7 and 5.3).
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct{ state, pause, resume string }{
		{"Waiting", "Paused", ""},
		{"Pending", "Paused", ""},
		{"Claimed", "Paused", ""},
		{"Running", "Paused", ""},
		{"Paused from Waiting", "", "Waiting"},
		{"Paused from Pending", "", "Pending"},
		{"Paused from Claimed", "", "Claimed"},
		{"Paused from Running", "", "Running"},
		{"Success", "", ""},
		{"Failure", "", ""},
		{"Canceled", "", ""},
	} {
		for path, want := range map[string]string{"/task/pause/": c.pause, "/task/resume/": c.resume} {
			id := b.inState(t, c.state).String()
			status, _, _ := strings.Cut(c.state, " ")
			var before, got task.Task
			b.ok(t, http.StatusOK, "GET", "/task/"+id, nil, &before)
			if want == "" {
				f := b.fails(t, http.StatusConflict, "PATCH", path+id, nil)
				require.Equal(t, status, f.CurrentStatus, path+c.state)
				b.ok(t, http.StatusOK, "GET", "/task/"+id, nil, &got)
				require.Equal(t, before, got, "changed by a 409")
				continue
			}
			a := b.ok(t, http.StatusOK, "PATCH", path+id, nil, &got)
			require.Equal(t, want, string(got.Status), path+c.state)
			require.Equal(t, fullKeys, keysOf(t, []byte(a.Body)))
			heard := path == "/task/resume/" && (want == "Claimed" || want == "Running")
			require.Equal(t, heard, got.LastUpdated.After(before.LastUpdated), path+c.state)
			got.LastUpdated, got.Status = before.LastUpdated, before.Status
			require.Equal(t, before, got, "nothing else changes")
		}
	}
	b.db.AssertInvariants(t)
}

// A pause keeps following its parents, and takes reports after the start.
func TestPausedTasksLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("p"), entry("a", "p"))
	p, a := tasks[0].ID.String(), tasks[1].ID.String()
	b.ok(t, http.StatusOK, "PATCH", "/task/pause/"+a, nil, nil)
	b.start(t)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+p, `{"status": "Success"}`, nil)
	var got task.Task
	b.ok(t, http.StatusOK, "PATCH", "/task/resume/"+a, nil, &got)
	require.Equal(t, task.Pending, got.Status, "its parent ended meanwhile")
	b.start(t)
	b.ok(t, http.StatusOK, "PATCH", "/task/pause/"+a, nil, nil)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+a, `{"status": "Success"}`, &got)
	require.Equal(t, task.Success, got.Status)
	b.db.AssertInvariants(t)
}

// No body is read, whatever it is; the id and a handle's query are looked at as everywhere.
func TestActsReadNoBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.inState(t, "Pending").String()
	for _, path := range []string{"/task/pause/", "/task/resume/"} {
		r, err := http.NewRequestWithContext(t.Context(), "PATCH", b.server.URL+path+id, strings.NewReader("{not json"))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "text/plain")
		require.Equal(t, http.StatusOK, b.send(t, r).Status)

		b.fails(t, http.StatusNotFound, "PATCH", path+uuid.NewString(), nil)
		f := b.fails(t, http.StatusBadRequest, "PATCH", path+"x", nil)
		require.Equal(t, []string{"task_id: must be a UUID"}, f.Details)
		b.fails(t, http.StatusUnauthorized, "PATCH", path+id+"?attempt=1&token=wrong", nil)
		b.fails(t, http.StatusBadRequest, "PATCH", path+id+"?attempt=2", nil)
	}
	var got task.Task
	b.ok(t, http.StatusOK, "GET", "/task/"+id, nil, &got)
	require.Equal(t, task.Pending, got.Status)
}

// A batch with a task in every state is stopped: each is counted where it was, and the second stop finds nothing.
func TestStopBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("done"), entry("failed"), entry("canceled"), entry("claimed"), entry("running"), entry("held"),
		entry("ready"), entry("ready2"), entry("waits", "ready"), entry("waits2", "waits"), entry("waits3", "waits2"))
	batch := tasks[0].BatchID.String()
	for _, move := range []struct {
		status task.Status
		tasks  []task.Task
	}{
		{task.Claimed, []task.Task{tasks[0], tasks[1], tasks[3], tasks[4]}},
		{task.Running, []task.Task{tasks[4]}},
		{task.Success, []task.Task{tasks[0]}},
		{task.Failure, []task.Task{tasks[1]}},
		{task.Canceled, []task.Task{tasks[2]}},
		{task.Paused, []task.Task{tasks[5]}},
	} {
		for _, moved := range move.tasks {
			b.exec(t, "update taskrunner.task set status = $2::text::taskrunner.status_kind where id = $1", moved.ID, move.status)
		}
	}
	outside := b.submit(t, object{"id": "o", "name": "o", "kind": "k", "on_start": action("o"),
		"dependencies": []object{{"task_id": tasks[6].ID, "requires_success": true}}})[0]

	a := b.ok(t, http.StatusOK, "DELETE", "/batch/"+batch, nil, nil)
	require.JSONEq(t, `{"batch_id": "`+batch+`", "canceled_waiting": 3, "canceled_pending": 2, "canceled_claimed": 1,
		"canceled_running": 1, "canceled_paused": 1, "already_terminal": 3}`, a.Body)
	var got task.Task
	for _, stopped := range tasks[3:] {
		b.ok(t, http.StatusOK, "GET", "/task/"+stopped.ID.String(), nil, &got)
		require.Equal(t, task.Canceled, got.Status)
		require.Equal(t, "Batch stopped", *got.FailureReason)
	}
	b.ok(t, http.StatusOK, "GET", "/task/"+outside.ID.String(), nil, &got)
	require.Equal(t, task.Failure, got.Status, "other batches see a canceled parent")

	a = b.ok(t, http.StatusOK, "DELETE", "/batch/"+batch, nil, nil)
	require.JSONEq(t, `{"batch_id": "`+batch+`", "canceled_waiting": 0, "canceled_pending": 0, "canceled_claimed": 0,
		"canceled_running": 0, "canceled_paused": 0, "already_terminal": 11}`, a.Body)
	b.fails(t, http.StatusNotFound, "DELETE", "/batch/"+uuid.NewString(), nil)
	f := b.fails(t, http.StatusBadRequest, "DELETE", "/batch/x", nil)
	require.Equal(t, []string{"batch_id: must be a UUID"}, f.Details)
	b.db.AssertInvariants(t)
}
