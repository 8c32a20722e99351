package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/task"
)

// slowBody is a body that comes in pieces.
type slowBody struct {
	begun  chan struct{}
	once   sync.Once
	pieces chan string
}

func newSlowBody() (*slowBody, chan<- string) {
	b := &slowBody{begun: make(chan struct{}), pieces: make(chan string)}
	return b, b.pieces
}

func (b *slowBody) Read(p []byte) (int, error) {
	b.once.Do(func() { close(b.begun) })
	piece, ok := <-b.pieces
	if !ok {
		return 0, io.EOF
	}
	return copy(p, piece), nil
}

func TestPatchProgress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("a"), entry("b", "a"))
	for _, created := range tasks { // in every state that has not ended
		path := "/task/" + created.ID.String()
		var got task.Task
		b.ok(t, http.StatusOK, "PATCH", path, `{"new_success": 2, "new_failures": 1, "metadata": {"x": [1e2]}, "expected_count": 9,
			"priority": 7, "failure_reason": "ignored", "unknown": [], "Status": "Success", "status": null}`, &got)
		require.Equal(t, created.Status, got.Status)
		require.EqualValues(t, 2, got.Success)
		require.EqualValues(t, 1, got.Failures)
		require.EqualValues(t, 9, *got.ExpectedCount)
		require.EqualValues(t, 7, got.Priority)
		require.Nil(t, got.FailureReason)
		require.JSONEq(t, `{"x": [100]}`, string(got.Metadata))
		require.True(t, got.LastUpdated.After(created.LastUpdated))

		before := got
		b.ok(t, http.StatusOK, "PATCH", path, `{}`, &got)
		require.True(t, got.LastUpdated.After(before.LastUpdated), "a heartbeat")
		before.LastUpdated = got.LastUpdated
		require.Equal(t, before, got)
		a := b.ok(t, http.StatusOK, "PATCH", path, `{"metadata": null, "expected_count": null, "new_success": null}`, nil)
		require.Equal(t, fullKeys, keysOf(t, []byte(a.Body)))
	}
	b.ok(t, http.StatusOK, "DELETE", "/task/"+tasks[0].ID.String(), nil, nil)
	f := b.fails(t, http.StatusConflict, "PATCH", "/task/"+tasks[0].ID.String(), `{}`)
	require.Equal(t, "Canceled", f.CurrentStatus)
}

func TestPatchResult(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, status, reason string }{
		{`{"status": "Success"}`, "Success", "null"},
		{`{"status": "Success", "failure_reason": "with remarks"}`, "Success", `"with remarks"`},
		{`{"status": "Failure", "failure_reason": ""}`, "Failure", `""`},
		{`{"status": "Failure", "failure_reason": "disk full", "new_failures": 3}`, "Failure", `"disk full"`},
	} {
		t.Run(c.body, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tasks := b.submit(t, entry("a"), entry("b", "a"))
			path := "/task/" + tasks[0].ID.String()
			f := b.fails(t, http.StatusConflict, "PATCH", path, c.body)
			require.Equal(t, "Pending", f.CurrentStatus, "never contacted")
			b.start(t)
			var got map[string]json.RawMessage
			b.ok(t, http.StatusOK, "PATCH", path, c.body, &got)
			require.Equal(t, `"`+c.status+`"`, string(got["status"]))
			require.Equal(t, c.reason, string(got["failure_reason"]))
			require.NotEqual(t, "null", string(got["ended_at"]))
			f = b.fails(t, http.StatusConflict, "PATCH", path, c.body)
			require.Equal(t, c.status, f.CurrentStatus, "the second of two")
			var child task.Task
			b.ok(t, http.StatusOK, "GET", "/task/"+tasks[1].ID.String(), nil, &child)
			require.Equal(t, map[string]task.Status{"Success": task.Pending, "Failure": task.Failure}[c.status], child.Status)
			b.db.AssertInvariants(t)
		})
	}
}

func TestPatchInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	large := strings.Repeat("x", 65_536)
	for body, details := range map[string][]string{
		`[]`:   {"body: must be an object"},
		`null`: {"body: must be an object"},
		`3`:    {"body: must be an object"},
		`{"status": "Running", "failure_reason": 1, "new_success": -1, "new_failures": 1.0, "expected_count": "1", "priority": 1001, "metadata": "` + large + `"}`: {
			"status: must be Success or Failure", "failure_reason: must be a string", "new_success: must be at least 0",
			"new_failures: must be an integer", "expected_count: must be an integer", "priority: must be between -1000 and 1000",
			"metadata: must be at most 65536 bytes"},
		`{"status": "success"}`:                                 {"status: must be Success or Failure"},
		`{"status": "Canceled"}`:                                {"status: must be Success or Failure"},
		`{"status": 1}`:                                         {"status: must be Success or Failure"},
		`{"status": "Failure"}`:                                 {"failure_reason: is required with status Failure"},
		`{"status": "Failure", "failure_reason": null}`:         {"failure_reason: is required with status Failure"},
		`{"status": "Failure", "failure_reason": []}`:           {"failure_reason: must be a string"},
		`{"new_success": 9223372036854775808}`:                  {"new_success: must be between 0 and 9223372036854775807"},
		`{"new_success": 1e2}`:                                  {"new_success: must be an integer"},
		`{"new_success": true, "new_failures": {}}`:             {"new_success: must be an integer", "new_failures: must be an integer"},
		`{"priority": -1001}`:                                   {"priority: must be between -1000 and 1000"},
		`{"priority": 99999999999999999999}`:                    {"priority: must be between -1000 and 1000"},
		`{"expected_count": -9223372036854775809}`:              {"expected_count: must be at least 0"},
		`{"metadata": [` + strings.Repeat("1e99,", 700) + `1]}`: {"metadata: must be at most 65536 bytes"},
		`{"metadata": {"a\u0000": 1}, "failure_reason": "\udfff"}`: {
			`metadata: the key "a\u0000" must not contain U+0000`, "failure_reason: must not contain an unpaired surrogate"},
	} {
		f := b.fails(t, http.StatusBadRequest, "PATCH", "/task/"+id.String(), body)
		require.Equal(t, "Validation failed", f.Error)
		require.Equal(t, details, f.Details, body)
		require.Nil(t, f.BatchID)
		// A bad body on an unknown id is a bad body.
		require.Equal(t, details, b.fails(t, http.StatusBadRequest, "PATCH", "/task/"+uuid.NewString(), body).Details)
	}
	b.ok(t, http.StatusOK, "PATCH", "/task/"+id.String(), `{"metadata": "`+large[2:]+`", "new_success": -0}`, nil)
	b.fails(t, http.StatusNotFound, "PATCH", "/task/"+uuid.NewString(), `{}`)
}

func TestPut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	path := "/task/" + id.String()
	a := b.ok(t, http.StatusAccepted, "PUT", path, `{"new_success": 3, "metadata": [], "status": "Canceled", "failure_reason": "x",
		"expected_count": -7, "priority": 5000, "attempt": "ignored"}`, nil)
	require.Equal(t, fmt.Sprintf(`{"id":"%s","new_success":3,"new_failures":0}`, id), a.Body)
	b.ok(t, http.StatusAccepted, "PUT", path, `{"new_success": null, "new_failures": 2}`, nil)
	var got task.Task
	b.ok(t, http.StatusOK, "GET", path, nil, &got)
	require.Equal(t, []int64{3, 2}, []int64{got.Success, got.Failures})
	require.Nil(t, got.ExpectedCount)
	require.Zero(t, got.Priority)

	for body, details := range map[string][]string{
		`{}`:                                     {"new_success: at least one of new_success and new_failures must be positive"},
		`{"new_success": 0, "new_failures": 0}`:  {"new_success: at least one of new_success and new_failures must be positive"},
		`{"new_success": -1, "new_failures": 2}`: {"new_success: must be at least 0"},
		`{"new_success": 1.5, "status": "x", "failure_reason": 1, "expected_count": 1.5, "priority": 3000000000}`: {
			"status: must be a task status", "failure_reason: must be a string", "new_success: must be an integer",
			"expected_count: must be an integer", "priority: must be between -2147483648 and 2147483647"},
		`[1]`: {"body: must be an object"},
	} {
		require.Equal(t, details, b.fails(t, http.StatusBadRequest, "PUT", path, body).Details, body)
	}
	b.fails(t, http.StatusNotFound, "PUT", "/task/"+uuid.NewString(), `{"new_success": 1}`)

	// In every state, ended ones included; an overflow harms nothing.
	b.ok(t, http.StatusOK, "DELETE", path, nil, nil)
	b.ok(t, http.StatusAccepted, "PUT", path, fmt.Sprintf(`{"new_success": %d}`, math.MaxInt64-3), nil)
	f := b.fails(t, http.StatusConflict, "PUT", path, `{"new_success": 1, "new_failures": 1}`)
	require.Equal(t, "Canceled", f.CurrentStatus)
	b.ok(t, http.StatusOK, "GET", path, nil, &got)
	require.Equal(t, []int64{math.MaxInt64, 2}, []int64{got.Success, got.Failures})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	a := b.ok(t, http.StatusOK, "DELETE", "/task/"+id.String(), nil, nil)
	require.Equal(t, fullKeys, keysOf(t, []byte(a.Body)))
	require.Contains(t, a.Body, `"status":"Canceled"`)
	require.Contains(t, a.Body, `"failure_reason":"Canceled"`)
	f := b.fails(t, http.StatusConflict, "DELETE", "/task/"+id.String(), nil)
	require.Equal(t, "Canceled", f.CurrentStatus)
	b.fails(t, http.StatusNotFound, "DELETE", "/task/"+uuid.NewString(), nil)
}

// Of concurrent completions exactly one gets 200, the others 409.
func TestConcurrentCompletions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	const n = 12
	bodies := []string{`{"status": "Success"}`, `{"status": "Failure", "failure_reason": "x"}`}
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if i%3 == 2 {
				answers[i] = b.do(t, "DELETE", "/task/"+id.String(), nil)
			} else {
				answers[i] = b.do(t, "PATCH", "/task/"+id.String(), bodies[i%3])
			}
		})
	}
	wg.Wait()
	accepted := 0
	for _, a := range answers {
		if a.Status == http.StatusOK {
			accepted++
			continue
		}
		require.NotEmpty(t, a.failure(t, http.StatusConflict).CurrentStatus)
	}
	require.Equal(t, 1, accepted)
	b.db.AssertInvariants(t)
	b.db.AssertNoDeadlocks(t)
}

func TestHandles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	// As after a retry: attempt 2 of 3, which only the engine may write.
	b.exec(t, `set session_replication_role = replica; update taskrunner.task set attempt = 2, max_attempts = 3; reset session_replication_role`)
	old, err := handle.New("http://x", [][]byte{[]byte("old key")})
	require.NoError(t, err)
	foreign, err := handle.New("http://x", [][]byte{[]byte("foreign key")})
	require.NoError(t, err)
	query := func(s *handle.Signer, id uuid.UUID, attempt int32) string {
		return strings.SplitN(s.URL(id, attempt), "?", 2)[1]
	}
	good := query(b.handles, id, 2)
	for _, c := range []struct {
		name, query string
		status      int // 0: good
	}{
		{"no token, no attempt", "", 0},
		{"handle", good, 0},
		{"rotated key", query(old, id, 2), 0},
		{"present attempt without token", "attempt=2", 0},
		{"unknown parameters", good + "&x=1&x=2", 0},
		{"foreign key", query(foreign, id, 2), 401},
		{"other task", query(b.handles, uuid.New(), 2), 401},
		{"token of another attempt", strings.Replace(query(b.handles, id, 1), "attempt=1", "attempt=2", 1), 401},
		{"token without attempt", "token=" + b.handles.Token(id, 2), 401},
		{"token with empty attempt", "attempt=&token=" + b.handles.Token(id, 2), 401},
		{"empty token", "attempt=2&token=", 401},
		{"older attempt", query(b.handles, id, 1), 409},
		{"older attempt without token", "attempt=1", 409},
		{"attempt zero", "attempt=0", 409},
		{"newer attempt", query(b.handles, id, 3), 400},
		{"newer attempt without token", "attempt=3", 400},
		{"attempt beyond all numbers", "attempt=99999999999999999999", 400},
		{"no number", "attempt=x", 400},
		{"negative", "attempt=-1", 400},
		{"signed", "attempt=%2B2", 400},
		{"empty attempt", "attempt=", 400},
		{"two attempts", "attempt=2&attempt=2", 400},
		{"two tokens", good + "&token=x", 400},
		{"malformed", "attempt=%zz", 400},
	} {
		for method, body := range map[string]any{"GET": nil, "PATCH": object{}, "PUT": object{"new_success": 1}} {
			a := b.do(t, method, "/task/"+id.String()+"?"+c.query, body)
			if c.status == 0 {
				require.Less(t, a.Status, 300, "%s %s: %s", method, c.name, a.Body)
				continue
			}
			require.Equal(t, c.status, a.Status, "%s %s: %s", method, c.name, a.Body)
			f := a.failure(t, c.status)
			switch c.status {
			case 401:
				require.Equal(t, "Bearer", a.Header.Get("WWW-Authenticate"))
			case 409:
				require.Equal(t, "Running", f.CurrentStatus)
			}
		}
		if c.status != 0 {
			b.fails(t, c.status, "DELETE", "/task/"+id.String()+"?"+c.query, nil)
		}
	}
	// Authentication comes before content type, JSON and existence.
	b.fails(t, http.StatusUnauthorized, "PATCH", "/task/"+id.String()+"?attempt=2&token=x", nil)
	b.fails(t, http.StatusUnauthorized, "PUT", "/task/"+uuid.NewString()+"?attempt=2&token=x", "{")
	// A stale attempt comes before a wrong state, and after validation and existence.
	b.fails(t, http.StatusBadRequest, "PATCH", "/task/"+id.String()+"?attempt=1", `{"priority": "x"}`)
	b.fails(t, http.StatusNotFound, "PATCH", "/task/"+uuid.NewString()+"?attempt=1", `{}`)
	// A handle does not permit DELETE, but without tokens for the API anybody may.
	b.ok(t, http.StatusOK, "DELETE", "/task/"+id.String()+"?"+good, nil, nil)
	f := b.fails(t, http.StatusConflict, "PATCH", "/task/"+id.String()+"?attempt=1", `{"status": "Success"}`)
	require.Contains(t, f.Error, "attempt")
}
