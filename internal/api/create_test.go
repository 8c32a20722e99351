package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// keys of the full task object, in the order of the wire (contract, section 1.4).
var fullKeys = []string{
	"id", "name", "kind", "status", "timeout", "rules", "metadata", "actions", "created_at", "last_updated", "started_at",
	"ended_at", "wait_finished", "wait_success", "success", "failures", "expected_count", "failure_reason", "batch_id",
	"batch_name", "dead_end_barrier", "priority", "attempt", "max_attempts", "run_at",
}

func TestCreateAndShow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var tasks []json.RawMessage
	a := b.ok(t, http.StatusCreated, "POST", "/task", `{"name": "nightly", "tasks": [
		{"id": "b", "name": "load <&> é", "kind": "etl", "timeout": 120, "metadata": {"projectId": 7, "big": 12345678901234567890.50},
		 "expected_count": 0, "priority": -3, "dead_end_barrier": true, "rules": null, "unknown": 1,
		 "on_start": {"kind": "Webhook", "params": {"url": "https://u:hush@jobs.example.com/b?api_key=hush&x=1", "verb": "Post",
		   "body": {"n": 1}, "headers": {"X-Api-Token": "hush", "X-Plain": "shown"}, "note": "kept"}},
		 "on_success": [{"kind": "Webhook", "params": {"url": "https://s", "verb": "Get"}}],
		 "on_failure": [{"kind": "Webhook", "params": {"url": "https://f", "verb": "Put"}}],
		 "on_cancel": [{"kind": "Webhook", "params": {"url": "https://c", "verb": "Delete"}}],
		 "dependencies": [{"id": "a", "requires_success": true}]},
		{"id": "a", "name": "extract", "kind": "etl", "on_start": {"kind": "Webhook", "params": {"url": "https://a", "verb": "Patch"}}}
	]}`, &tasks)
	batchID := a.Header.Get("X-Batch-ID")
	require.NoError(t, uuid.Validate(batchID))
	require.Len(t, tasks, 2)
	require.NotContains(t, a.Body, "hush")
	require.Contains(t, a.Body, `"load <&> é"`)

	var load struct {
		ID        uuid.UUID `json:"id"`
		CreatedAt string    `json:"created_at"`
	}
	require.NoError(t, json.Unmarshal(tasks[0], &load))
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$`, load.CreatedAt)
	want := fmt.Sprintf(`{"id": %q, "name": "load <&> é", "kind": "etl", "status": "Waiting", "timeout": 120, "rules": [],
		"metadata": {"big": 12345678901234567890.50, "projectId": 7}, "actions": [
			{"kind": "Webhook", "trigger": "Start", "params": {"url": "https://u:***@jobs.example.com/b?api_key=***&x=1", "verb": "Post",
			  "body": {"n": 1}, "headers": {"X-Api-Token": "***", "X-Plain": "shown"}, "note": "kept"}},
			{"kind": "Webhook", "trigger": "End", "params": {"url": "https://f", "verb": "Put"}},
			{"kind": "Webhook", "trigger": "End", "params": {"url": "https://s", "verb": "Get"}},
			{"kind": "Webhook", "trigger": "Cancel", "params": {"url": "https://c", "verb": "Delete"}}],
		"created_at": %[2]q, "last_updated": %[2]q, "started_at": null, "ended_at": null, "wait_finished": 1, "wait_success": 1,
		"success": 0, "failures": 0, "expected_count": 0, "failure_reason": null, "batch_id": %[3]q, "batch_name": "nightly",
		"dead_end_barrier": true, "priority": -3, "attempt": 1, "max_attempts": 1, "run_at": null}`, load.ID, load.CreatedAt, batchID)
	require.JSONEq(t, want, string(tasks[0]))
	require.Contains(t, string(tasks[0]), "12345678901234567890.50", "numbers as they were")
	require.Equal(t, fullKeys, keysOf(t, tasks[0]))

	shown := b.ok(t, http.StatusOK, "GET", "/task/"+load.ID.String(), nil, nil)
	require.Equal(t, append(append([]string{}, fullKeys...), "blocked_by"), keysOf(t, []byte(shown.Body)))
	require.JSONEq(t, strings.TrimSuffix(want, "}")+`, "blocked_by": null}`, shown.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(t, 2, b.created)
	require.Equal(t, []string{"/task POST 201", "/task/{task_id} GET 200"}, b.observed)
}

// keysOf returns the keys of an object in their order.
func keysOf(t *testing.T, raw []byte) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(raw)))
	_, err := d.Token()
	require.NoError(t, err)
	var keys []string
	for d.More() {
		key, err := d.Token()
		require.NoError(t, err)
		keys = append(keys, key.(string))
		var value json.RawMessage
		require.NoError(t, d.Decode(&value))
	}
	return keys
}

func TestCreateArrayForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("c", "b", "a"), entry("b", "a"), entry("a"))
	require.Equal(t, []string{"task c", "task b", "task a"}, []string{tasks[0].Name, tasks[1].Name, tasks[2].Name})
	require.Equal(t, []task.Status{task.Waiting, task.Waiting, task.Pending}, []task.Status{tasks[0].Status, tasks[1].Status, tasks[2].Status})
	require.EqualValues(t, 2, tasks[0].WaitFinished)
	require.Nil(t, tasks[0].BatchName)
	require.Equal(t, tasks[0].CreatedAt, tasks[2].CreatedAt)
	b.db.AssertInvariants(t)
}

func TestCreateNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, body := range []string{`[]`, `{"tasks": []}`, ` { "tasks" : [ ] , "name" : "x" } `} {
		a := b.ok(t, http.StatusNoContent, "POST", "/task", body, nil)
		require.Empty(t, a.Body)
		require.Empty(t, a.Header.Get("Content-Type"))
		b.fails(t, http.StatusNotFound, "GET", "/batch/"+a.Header.Get("X-Batch-ID"), nil)
	}
	require.Zero(t, b.created)
}

func TestCreateInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := `{"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}`
	for body, details := range map[string][]string{
		`{}`:              {"tasks: must be an array of tasks"},
		`{"Tasks": []}`:   {"tasks: must be an array of tasks"},
		`{"tasks": null}`: {"tasks: must be an array of tasks"},
		`{"tasks": {}}`:   {"tasks: must be an array of tasks"},
		`null`:            {"body: must be an array of tasks or an object with tasks"},
		`7`:               {"body: must be an array of tasks or an object with tasks"},
		`"x"`:             {"body: must be an array of tasks or an object with tasks"},
		`[null]`:          {"tasks[0]: must be an object"},
		`[[]]`:            {"tasks[0]: must be an object"},
		`[{"id": "a", "name": "n", "kind": "k", "timeout": 60.0, "priority": 1001, "on_start": ` + good + `}, {"id": "a", "name": " ", "kind": "k", "on_start": ` + good + `}]`: {
			"tasks[0].timeout: must be an integer", "tasks[0].priority: must be between -1000 and 1000",
			`tasks[1].id: repeats "a" of tasks[0]`, "tasks[1].name: must not be blank"},
		`{"tasks": [{"id": "a", "name": "n", "kind": "k", "on_start": ` + good + `, "dependencies": [{"id": "b", "requires_success": true}]},
			{"id": "b", "name": "n", "kind": "k", "on_start": ` + good + `, "dependencies": [{"id": "a", "requires_success": false}]}]}`: {
			"dependencies: dependency cycle: a -> b -> a"},
		`[{"id": "a", "name": "n\u0000", "kind": "\ud800"}]`: {
			"tasks[0].name: must not contain U+0000", "tasks[0].kind: must not contain an unpaired surrogate", "tasks[0].on_start: is required"},
		`{"name": "\u0000", "tasks": []}`: {"name: must not contain U+0000"},
		`[{"metadata": {"a": 1e1000}}]`: {"tasks[0].metadata.a: must not have more than 1000 digits before or after the point",
			"tasks[0].id: is required", "tasks[0].name: is required", "tasks[0].kind: is required", "tasks[0].on_start: is required"},
	} {
		f := b.fails(t, http.StatusBadRequest, "POST", "/task", body)
		require.Equal(t, "Validation failed", f.Error, body)
		require.Equal(t, details, f.Details, body)
		require.NotNil(t, f.BatchID, body)
		require.Empty(t, f.CurrentStatus)
	}
	f := b.fails(t, http.StatusBadRequest, "POST", "/task", "["+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"]")
	require.Contains(t, f.Details[0], "nested deeper than 1000")
	dependency := entry("a")
	dependency["dependencies"] = []object{{"task_id": uuid.New(), "requires_success": true}}
	f = b.fails(t, http.StatusBadRequest, "POST", "/task", []object{dependency})
	require.Contains(t, f.Details[0], "tasks[0].dependencies[0].task_id: unknown task")
	var n int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.batch").Scan(&n))
	require.Zero(t, n)
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	for _, body := range []string{"", " ", "{", `{"a":}`, "[1,]", "nul", "{} {}", "\xff", "{\"a\":\"\xff\"}", "\ufeff[]", "\x00", `{"a":"\x"}`, "NaN", "01"} {
		for method, path := range map[string]string{"POST": "/task", "PATCH": "/task/" + id.String(), "PUT": "/task/" + id.String()} {
			f := b.fails(t, http.StatusBadRequest, method, path, body)
			require.Contains(t, f.Error, "malformed JSON: ", body)
			require.Nil(t, f.Details)
			require.Nil(t, f.BatchID)
		}
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	send := func(method, path, contentType string) answer {
		r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader("{"))
		require.NoError(t, err)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return b.send(t, r)
	}
	for method, path := range map[string]string{"POST": "/task", "PATCH": "/task/" + id.String(), "PUT": "/task/" + id.String()} {
		for _, good := range []string{"application/json", "Application/JSON; charset=utf-8", "text/json", "application/problem+json",
			"application/vnd.x+json;v=1", "application/json; x", "application/json;"} {
			require.Contains(t, send(method, path, good).failure(t, http.StatusBadRequest).Error, "malformed JSON", good)
		}
		for _, bad := range []string{"", "text/plain", "json", "application/jsonp", "application/json+xml", "application/x-www-form-urlencoded",
			"/", ";", "application/ json", "application/json, text/plain"} {
			send(method, path, bad).failure(t, http.StatusUnsupportedMediaType)
		}
	}
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	for method, path := range map[string]string{"POST": "/task", "PATCH": "/task/" + id.String(), "PUT": "/task/" + id.String()} {
		body := `{"tasks":[],"new_success":1,"x":"` + strings.Repeat("x", maxBody-35) + `"}`
		require.Len(t, body, maxBody)
		require.Less(t, b.do(t, method, path, body).Status, 300)
		b.fails(t, http.StatusRequestEntityTooLarge, method, path, body+" ")

		// Without a Content-Length.
		r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body+" "))
		require.NoError(t, err)
		r.ContentLength = -1
		r.Header.Set("Content-Type", "application/json")
		b.send(t, r).failure(t, http.StatusRequestEntityTooLarge)

		// Written out it is too large.
		b.fails(t, http.StatusRequestEntityTooLarge, method, path, `{"x":[`+strings.Repeat("1e999,", maxBody/1000)+`1]}`)
	}
	f := b.fails(t, http.StatusRequestEntityTooLarge, "POST", "/task", "["+strings.Repeat("0,", 100_000)+"0]")
	require.Contains(t, f.Error, "100000")
}

// A request whose body comes slowly holds no connection to the database.
func TestSlowBodyHoldsNoConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	reader, writer := newSlowBody()
	r, err := http.NewRequestWithContext(t.Context(), "PATCH", b.server.URL+"/task/"+id.String(), reader)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	answered := make(chan answer, 1)
	go func() { answered <- b.send(t, r) }()
	<-reader.begun
	size, idle := b.store.Stat()
	require.Equal(t, size, idle)
	writer <- `{"new_success"`
	writer <- `: 1}`
	close(writer)
	require.Equal(t, http.StatusOK, (<-answered).Status)
}
