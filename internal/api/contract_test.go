package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/openapitest"
)

// The ids of the document's examples.
const (
	exampleBatch = "01994f3c-7a10-7a01-8a52-90b1c7e3d5f4"
	exampleTask  = "01994f3c-7a10-7b52-9c1d-2f1a6b0e4d21"
)

// Every operation of the document is called with its own examples, and every answer that it describes is provoked. The
// handler is wrapped as in all tests, so each answer is compared with the document; here the question is whether there
// are enough of them.
func TestContract(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	document := openapitest.Load(t)
	t.Run("operations", func(t *testing.T) {
		for _, o := range document.Operations {
			t.Run(o.ID, func(t *testing.T) {
				t.Parallel()
				c := &contract{Operation: o}
				for _, body := range c.bodies() {
					b := setup(t)
					path := c.example(t, b)
					if c.ID == "getViewEvents" {
						path = c.stream(t, b)
					} else {
						c.fail(t, b, path, body)
						c.succeed(t, b, path, body)
					}
					c.failInside(t, b, path, body)
					b.server.Close() // the handler notes an answer after it was sent
					mu.Lock()
					maps.Copy(seen, b.seen)
					mu.Unlock()
				}
			})
		}
	})
	t.Run("strangers", func(t *testing.T) {
		b := setup(t, withTokens(t))
		for _, o := range document.Operations {
			(&contract{Operation: o}).refuse(t, b)
		}
		b.server.Close()
		maps.Copy(seen, b.seen)
	})
	for _, o := range document.Operations {
		for status := range o.Responses {
			line := fmt.Sprint(o.ID, " ", status)
			require.True(t, seen[line], "the document describes an answer that nobody saw: %s", line)
		}
	}
}

// contract tests one operation.
type contract struct{ *openapitest.Operation }

// bodies are the examples of its body; one that is nil for an operation without.
func (c *contract) bodies() []any {
	if c.Body == nil {
		return []any{nil}
	}
	return slices.Collect(maps.Values(c.Body.Examples))
}

// fail provokes the answers that are the client's fault. They change nothing.
func (c *contract) fail(t *testing.T, b *testBundle, path string, body any) {
	send := func(status int, path string, body any, change ...func(*http.Request)) {
		t.Helper()
		r := c.request(t, b, path, body)
		for _, f := range change {
			f(r)
		}
		a := b.send(t, r)
		require.Equal(t, status, a.Status, "%s %s: %s", r.Method, r.URL, a.Body)
	}
	if c.Body != nil {
		send(http.StatusBadRequest, path, "{")
		send(http.StatusRequestEntityTooLarge, path, strings.Repeat(" ", maxBody+1))
		send(http.StatusUnsupportedMediaType, path, body, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	}
	for _, p := range c.Parameters {
		switch {
		case p.In == "path" && strings.HasSuffix(p.Name, "_id"):
			send(http.StatusBadRequest, c.path(p.Name, "x"), body)
			send(http.StatusNotFound, c.path(p.Name, uuid.NewString()), body)
		case p.In == "path":
			send(http.StatusNotFound, c.path(p.Name, "x"), body)
		case p.In == "query" && p.IsTyped():
			send(http.StatusBadRequest, path+"?"+p.Name+"=x", body)
		}
		switch p.Name {
		case "delivery_id":
			send(http.StatusConflict, c.path("delivery_id", b.delivery(t, "Start")), body)
		case "attempt":
			send(http.StatusConflict, path+"?attempt=0", body)
			send(http.StatusUnauthorized, path+"?attempt=1&token=x", body)
		}
	}
}

// refuse calls the operation as somebody who may not.
func (c *contract) refuse(t *testing.T, b *testBundle) {
	if c.Scope == "" {
		return
	}
	r := c.request(t, b, c.path("", ""), nil)
	require.Equal(t, http.StatusUnauthorized, b.send(t, r).Status)
	if c.Scope != "read" {
		r := c.request(t, b, c.path("", ""), nil)
		r.Header.Set("Authorization", "Bearer "+secrets["read"])
		require.Equal(t, http.StatusForbidden, b.send(t, r).Status)
	}
}

// succeed calls the operation with an example of its body. One that changes nothing is called with the example of each
// other parameter, any other with all of them at once.
func (c *contract) succeed(t *testing.T, b *testBundle, path string, body any) {
	query := url.Values{}
	for _, p := range c.Parameters {
		if p.In != "query" || p.Name == "cursor" {
			continue
		}
		query.Set(p.Name, p.Example())
		if c.Method == http.MethodGet {
			a := b.send(t, c.request(t, b, path+"?"+query.Encode(), body))
			require.Equal(t, http.StatusOK, a.Status, a.Body)
			query.Del(p.Name)
		}
	}
	a := b.send(t, c.request(t, b, path+"?"+query.Encode(), body))
	require.Less(t, a.Status, 300, a.Body)
	if c.HasParameter("header", "Idempotency-Key") {
		c.repeat(t, b, path, body)
	}
	if c.Responses[http.StatusNotModified] != nil {
		r := c.request(t, b, path, body)
		r.Header.Set("If-None-Match", a.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, b.send(t, r).Status)
	}
	if strings.HasPrefix(path, "/view/") && c.HasParameter("path", "batch_id") {
		b.exec(t, "insert into taskrunner.task (batch_id, name, kind) select $1, 'load', 'etl' from generate_series(1, $2)", exampleBatch, viewTasks)
		require.Equal(t, http.StatusConflict, b.send(t, c.request(t, b, path, body)).Status)
	}
}

// repeat sends the same request twice with one Idempotency-Key, and then another request.
func (c *contract) repeat(t *testing.T, b *testBundle, path string, body any) {
	send := func(body any) answer {
		r := c.request(t, b, path, body)
		r.Header.Set("Idempotency-Key", "nightly-2026-11-27")
		return b.send(t, r)
	}
	first, second := send(body), send(body)
	require.Less(t, first.Status, 300, first.Body)
	require.Equal(t, first.Status, second.Status)
	require.Equal(t, "true", second.Header.Get("Idempotent-Replayed"))
	require.Equal(t, http.StatusUnprocessableEntity, send("[ ]").Status)
}

// stream is fail and succeed of the operation whose answer ends when the batch is removed. It returns the path.
func (c *contract) stream(t *testing.T, b *testBundle) string {
	b.fails(t, http.StatusBadRequest, "GET", c.Path, nil)
	b.fails(t, http.StatusBadRequest, "GET", c.Path+"?batch=x", nil)
	b.fails(t, http.StatusNotFound, "GET", c.Path+"?batch="+uuid.NewString(), nil)
	large := uuid.New()
	b.exec(t, "insert into taskrunner.batch (id) values ($1)", large)
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) select $1, 'load', 'etl' from generate_series(0, $2)", large, viewTasks)
	b.fails(t, http.StatusConflict, "GET", c.Path+"?batch="+large.String(), nil)

	path := c.Path + "?batch=" + exampleBatch
	b.ok(t, http.StatusOK, "HEAD", path, nil, nil)
	resp, err := b.client.Do(c.request(t, b, path, nil))
	require.NoError(t, err)
	defer resp.Body.Close()
	b.exec(t, "select taskrunner.cancel_task($1)", exampleTask)
	b.exec(t, "delete from taskrunner.task where id = $1", exampleTask)
	b.exec(t, "delete from taskrunner.batch where id = $1", exampleBatch)
	events, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(events), "event: states\ndata: {")
	require.Contains(t, string(events), "event: gone\ndata: {")
	return path
}

// failInside takes the engine away, and then the whole database.
func (c *contract) failInside(t *testing.T, b *testBundle, path string, body any) {
	send := func(want int) {
		t.Helper()
		a := b.send(t, c.request(t, b, path, body))
		for end := time.Now().Add(time.Minute); c.ID == "getViewOverview" && a.Status != want && time.Now().Before(end); { // what it was is kept for a while
			time.Sleep(50 * time.Millisecond)
			a = b.send(t, c.request(t, b, path, body))
		}
		require.Equal(t, want, a.Status, a.Body)
	}
	if c.Responses[http.StatusInternalServerError] != nil {
		b.exec(t, "revoke usage on schema taskrunner, taskrunner_private from taskrunner_service")
		send(http.StatusInternalServerError)
	}
	if c.Responses[http.StatusServiceUnavailable] != nil {
		b.reachable(t, false)
		send(http.StatusServiceUnavailable)
	}
}

// path is the operation's path with the examples of its parameters, but for one of them.
func (c *contract) path(name, value string) string {
	path := c.Path
	for _, p := range c.Parameters {
		switch {
		case p.In != "path":
		case p.Name == name:
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		default:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example())
		}
	}
	return path
}

// request is a request of the operation. A body that is a string is sent as it is.
func (c *contract) request(t *testing.T, b *testBundle, path string, body any) *http.Request {
	t.Helper()
	text, isText := body.(string)
	if !isText && body != nil {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		text = string(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), c.Method, b.server.URL+path, strings.NewReader(text))
	require.NoError(t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// example creates what the examples of the document speak of, in a state in which the operation is permitted, and
// returns the path of the operation.
func (c *contract) example(t *testing.T, b *testBundle) string {
	t.Helper()
	b.exec(t, "insert into taskrunner.batch (id, name) values ($1, 'nightly')", exampleBatch)
	b.exec(t, "insert into taskrunner.task (id, batch_id, name, kind) values ($1, $2, 'extract', 'etl')", exampleTask, exampleBatch)
	for _, trigger := range []string{"Start", "End", "Cancel"} {
		b.exec(t, `insert into taskrunner.action (task_id, trigger, params) values ($1, $2::text::taskrunner.trigger_kind,
			'{"url": "https://chat.example.com/done", "verb": "Post"}')`, exampleTask, trigger)
	}
	b.start(t)
	switch c.ID {
	case "resumeTask":
		b.exec(t, "select taskrunner.pause_task($1)", exampleTask)
	case "listTaskDeliveries", "listDeliveries", "replayDelivery", "replayDeliveries":
		b.exec(t, "select taskrunner.finish_task($1, 'Success')", exampleTask)
	}
	return c.path("delivery_id", b.delivery(t, "End"))
}

// delivery is the id of the example task's delivery, a new one when there is none.
func (b *testBundle) delivery(t *testing.T, trigger string) string {
	t.Helper()
	id := uuid.NewString()
	err := b.db.Pool.QueryRow(t.Context(), "select id from taskrunner.delivery where trigger = $1::text::taskrunner.trigger_kind", trigger).Scan(&id)
	require.Condition(t, func() bool { return err == nil || errors.Is(err, pgx.ErrNoRows) }, err)
	return id
}
