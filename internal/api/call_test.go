package api_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/task"
)

// lines returns the lines of the log that hold a text, once there are any.
func (b *testBundle) lines(t *testing.T, text string) (found []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		found = nil
		for line := range strings.Lines(b.log.String()) {
			if strings.Contains(line, text) {
				found = append(found, line)
			}
		}
		return len(found) > 0
	}, patience, 1e6, text)
	return found
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	var b *testBundle
	b = setup(t, func(c *api.Config) {
		c.Log = slog.New(slog.NewTextHandler(lazyLog{&b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	id := b.running(t).String()
	for _, c := range []struct {
		given []string
		kept  bool
	}{
		{nil, false},
		{[]string{"abc"}, true},
		{[]string{uuid.NewString()}, true},
		{[]string{`00-4bf92f3577b34da6-"<>&\`}, true},
		{[]string{strings.Repeat("x", 128)}, true},
		{[]string{strings.Repeat("x", 129)}, false},
		{[]string{""}, false},
		{[]string{"a b"}, false},
		{[]string{"a\tb"}, false},
		{[]string{"é"}, false},
		{[]string{"a", "b"}, false},
	} {
		for _, request := range []struct {
			method, path string
			status       int
		}{{"GET", "/health", 200}, {"GET", "/task/" + id, 200}, {"GET", "/none", 404}, {"BREW", "/task", 405}, {"GET", "/task/x", 400}} {
			var headers []string
			for _, given := range c.given {
				headers = append(headers, "X-Request-Id", given)
			}
			a := b.with(t, request.method, request.path, headers...)
			require.Equal(t, request.status, a.Status)
			require.Len(t, a.Header.Values("X-Request-Id"), 1)
			got := a.Header.Get("X-Request-Id")
			if c.kept {
				require.Equal(t, c.given[0], got)
			} else {
				made, err := uuid.Parse(got)
				require.NoError(t, err)
				require.EqualValues(t, 7, made.Version())
				line := b.lines(t, "request_id="+got)
				require.Len(t, line, 1)
				require.Contains(t, line[0], fmt.Sprintf("method=%s path=%s status=%d", request.method, request.path, request.status))
			}
			if request.status >= 400 {
				require.Equal(t, got, a.failure(t, request.status).RequestID)
			}
		}
	}
}

// lazyLog is the log of a bundle that is being made.
type lazyLog struct{ b **testBundle }

func (l lazyLog) Write(p []byte) (int, error) { return (*l.b).log.Write(p) }

// What a request says in its query, its headers and its body is in no log.
func TestNoSecretsInLogs(t *testing.T) {
	t.Parallel()
	var b *testBundle
	b = setup(t, withTokens(t), func(c *api.Config) {
		c.Log = slog.New(slog.NewTextHandler(lazyLog{&b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Store = brokenStore{Store: c.Store, task: func() (task.Task, error) { return task.Task{}, errors.New("broken") }}
	})
	const query = "?attempt=1&token=hush-token&metadata=hush-metadata"
	id := uuid.NewString()
	for _, path := range []string{"/task/" + id, "/task/x", "/none", "/health", "/batch/" + id, "/metrics"} {
		for _, method := range []string{"GET", "PUT", "BREW"} {
			for _, secret := range []string{"hush-secret", "a-secret"} {
				r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path+query, strings.NewReader(`{"hush-body": hush-body`))
				require.NoError(t, err)
				r.Header.Set("Authorization", "Bearer "+secret)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Cookie", "hush-cookie")
				a := b.send(t, r)
				require.NotContains(t, a.Body, "hush")
			}
		}
	}
	line := b.lines(t, "level=ERROR")
	require.Contains(t, line[0], "msg=\"request failed\"")
	require.Contains(t, line[0], "path=/task/"+id+" status=500")
	require.Contains(t, line[0], "token=admin", "the name of the token")
	require.NotContains(t, b.log.String(), "hush")
	require.NotContains(t, b.log.String(), "a-secret")
	// A long path is cut.
	b.with(t, "GET", "/none"+strings.Repeat("x", 10_000))
	b.lines(t, "/nonexxx")
	require.NotContains(t, b.log.String(), strings.Repeat("x", 200))
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/health", "/metrics", "/none", "/task/x", "/batch/" + uuid.NewString()} {
		a := b.do(t, "GET", path, nil)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Empty(t, a.Header.Get("Server"))
	}
}

// A request that is wrong in every respect hears of the first one in the order of the contract's section 2; set right
// one by one, of the next.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	var away bool
	b := setup(t, withTokens(t), func(c *api.Config) { c.DatabaseAway = func() bool { return away } })
	admin := "Bearer " + secrets["admin"]
	create, err := http.NewRequestWithContext(t.Context(), "POST", b.server.URL+"/task", strings.NewReader(
		`[{"id": "a", "name": "n", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "https://a.example.com", "verb": "Get"}}}]`))
	require.NoError(t, err)
	create.Header.Set("Authorization", admin)
	create.Header.Set("Content-Type", "application/json")
	created := b.send(t, create)
	require.Equal(t, http.StatusCreated, created.Status)
	id := strings.Split(created.Body, `"`)[3]
	b.exec(t, `set session_replication_role = replica; update taskrunner.task set attempt = 2, max_attempts = 3; reset session_replication_role`)

	large := strings.Repeat(" ", maxBody)
	r := struct {
		method, path, query, authorization string
		away                               bool
		contentType, body                  string
	}{"BREW", "/tasks/x", "?attempt=1&attempt=1", "", true, "text/plain", large + "{"}
	for _, step := range []struct {
		status int
		says   string
		mend   func()
	}{
		{404, "no such path", func() { r.path = "/task/x" }},
		{405, "method", func() { r.method = "PATCH" }},
		{400, "UUID", func() { r.path = "/task/" + uuid.NewString() }},
		{401, "bearer", func() { r.authorization = "Bearer " + secrets["read"] }},
		{403, "scope", func() { r.authorization = admin }},
		{400, "only once", func() { r.query = "?attempt=1" }},
		{503, "database", func() { r.away = false }},
		{415, "Content-Type", func() { r.contentType = "application/json" }},
		{413, "bytes", func() { r.body = "{" }},
		{400, "JSON", func() { r.body = `{"status": "Failure", "priority": 5000}` }},
		{400, "Validation failed", func() { r.body = `{"status": "Success"}` }},
		{404, "unknown", func() { r.path = "/task/" + id }},
		{409, "attempt", func() { r.query = "?attempt=2" }},
		{409, "Pending", func() {}},
	} {
		away = r.away
		req, err := http.NewRequestWithContext(t.Context(), r.method, b.server.URL+r.path+r.query, io.NopCloser(strings.NewReader(r.body)))
		require.NoError(t, err)
		req.Header.Set("Content-Type", r.contentType)
		if r.authorization != "" {
			req.Header.Set("Authorization", r.authorization)
		}
		f := b.send(t, req).failure(t, step.status)
		require.Contains(t, f.Error+strings.Join(f.Details, "")+f.CurrentStatus, step.says)
		step.mend()
	}
}

// A body is JSON in UTF-8 and nothing around it; what its header says of the charset is ignored.
func TestEncodings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/task/" + b.running(t).String()
	send := func(method, body string, headers ...string) answer {
		r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		return b.send(t, r)
	}
	const body = `{"failure_reason": "é"}`
	require.Equal(t, http.StatusOK, send("PATCH", body, "Content-Type", "application/json;charset=latin1").Status)
	send("PATCH", body, "Content-Type", "application/json", "Content-Type", "text/plain").failure(t, http.StatusUnsupportedMediaType)
	for coding, status := range map[string]int{"gzip": 415, "br, gzip": 415, "identity": 200, "Identity": 200, "": 200, "x": 415} {
		require.Equal(t, status, send("PATCH", body, "Content-Type", "application/json", "Content-Encoding", coding).Status, coding)
	}
	// Other encodings of text are no JSON.
	for _, bytes := range []string{"\xff\xfe{\x00}\x00", "\xef\xbb\xbf{}", "{\"failure_reason\": \"\xe9\"}"} {
		send("PATCH", bytes, "Content-Type", "application/json; charset=utf-16").failure(t, http.StatusBadRequest)
	}
}
