package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// client keeps no connections, so none outlives its test.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// newDB is a database whose state is checked when everything else of the test has ended.
func newDB(t *testing.T) *testdb.DB {
	t.Helper()
	db := testdb.New(t)
	t.Cleanup(func() {
		db.AssertInvariants(t)
		db.AssertNoDeadlocks(t)
	})
	return db
}

// service is a replica and its database.
type service struct {
	t    *testing.T
	db   *testdb.DB
	url  string
	stop func() // drains it and waits for its end; may be called again
	at   string // its address

	mostDrawn int // tasks of a batch; 0: as many as elsewhere
}

// startService runs a replica, with the role of the service, until the test ends or stop is called.
func startService(t *testing.T, flags ...string) *service {
	t.Helper()
	s := &service{t: t, db: newDB(t), at: "127.0.0.1:0"}
	s.start(flags...)
	return s
}

// start runs the replica again, at the address that it had.
func (s *service) start(flags ...string) {
	t := s.t
	t.Helper()
	listener, err := net.Listen("tcp", s.at)
	require.NoError(t, err)
	s.at = listener.Addr().String()
	s.url = "http://" + s.at
	c, err := config.Parse(append([]string{
		"--database-url", s.db.Login(t, "taskrunner_service"), "--host-url", s.url, "--drain-timeout-secs=20", "--ssrf-allow=127.0.0.1",
	}, flags...)...)
	require.NoError(t, err)
	require.NoError(t, c.Check())

	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, c, app.Options{
			Version: "test", Listener: listener, Log: slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
			Ready: func(net.Addr) { close(ready) }, ViewTasks: s.mostDrawn,
		})
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the replica does not end")
		}
	})
	t.Cleanup(s.stop)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the replica ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the replica does not start")
	}
}

// logWriter shows a replica's warnings with the test that made them.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(line))
	return len(line), nil
}

// entry is a task to create.
type entry map[string]any

// batch is a batch that was created.
type batch struct {
	id    uuid.UUID
	tasks map[string]task.Task // by name
}

// view is where the page shows it.
func (b batch) view() string { return "/view?batch=" + b.id.String() }

// submit creates a batch over HTTP.
func (s *service) submit(name string, entries ...entry) batch {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "tasks": entries})
	require.NoError(s.t, err)
	resp, err := client.Post(s.url+"/task", "application/json", bytes.NewReader(body))
	require.NoError(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusCreated, resp.StatusCode, "%s", raw)
	var tasks []task.Task
	require.NoError(s.t, json.Unmarshal(raw, &tasks))
	b := batch{id: uuid.MustParse(resp.Header.Get("X-Batch-ID")), tasks: map[string]task.Task{}}
	for _, created := range tasks {
		b.tasks[created.Name] = created
	}
	return b
}

// ask reads one value from the database.
func ask[T any](s *service, query string, args ...any) (value T) {
	s.t.Helper()
	require.NoError(s.t, s.db.Pool.QueryRow(s.t.Context(), query, args...).Scan(&value), "%s", query)
	return value
}

// exec changes the database.
func (s *service) exec(statement string, args ...any) {
	s.t.Helper()
	_, err := s.db.Pool.Exec(s.t.Context(), statement, args...)
	require.NoError(s.t, err, "%s", statement)
}

// until waits for a condition.
func until(t *testing.T, condition func() bool, format string, args ...any) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(look) {
		if time.Since(began) > patience {
			t.Fatalf(format, args...)
		}
	}
}

// await waits until a query of a text has a result; no row and null are "".
func (s *service) await(want string, query string, args ...any) {
	s.t.Helper()
	var got string
	until(s.t, func() bool {
		got = ask[string](s, "select coalesce(("+query+"), '')", args...)
		return got == want
	}, "%s of %v does not become %s", query, args, want)
}

// awaitStatus waits until a task has a status.
func (s *service) awaitStatus(id uuid.UUID, status task.Status) {
	s.t.Helper()
	s.await(string(status), "select status::text from taskrunner.task where id = $1", id)
}

// receiver is what webhooks call. Under /ok it reports success in the background, under /fail failure, under /hold nothing; it
// refuses what goes to /gone until it is repaired.
type receiver struct {
	t    *testing.T
	url  string
	work sync.WaitGroup

	mu       sync.Mutex
	calls    []string // paths
	repaired bool
}

// newReceiver starts a receiver that ends with the test. Make it before the service, so that it ends after it.
func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	server := httptest.NewServer(r)
	r.url = server.URL
	t.Cleanup(func() {
		server.Close()
		r.work.Wait()
	})
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	r.calls = append(r.calls, req.URL.Path)
	repaired := r.repaired
	r.mu.Unlock()
	handle := req.URL.Query().Get("handle")
	switch {
	case strings.HasPrefix(req.URL.Path, "/ok"):
		r.work.Go(func() { r.report(handle, `{"status": "Success"}`) })
	case strings.HasPrefix(req.URL.Path, "/fail"):
		r.work.Go(func() { r.report(handle, `{"status": "Failure", "failure_reason": "no disk"}`) })
	case strings.HasPrefix(req.URL.Path, "/gone") && !repaired:
		w.WriteHeader(http.StatusGone)
	}
}

func (r *receiver) repair() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repaired = true
}

// called counts the calls of a path.
func (r *receiver) called(path string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		if c == path {
			n++
		}
	}
	return n
}

func (r *receiver) report(handle, body string) {
	req, err := http.NewRequest(http.MethodPatch, handle, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(resp.Body)
		r.t.Errorf("report: %d %s", resp.StatusCode, answer)
	}
}

// hook is a webhook of the receiver.
func (r *receiver) hook(path string) map[string]any {
	return map[string]any{"kind": "Webhook", "params": map[string]any{"url": r.url + path, "verb": "Post"}}
}

// task is a task that calls the receiver and requires others.
func (r *receiver) task(name, kind, path string, parents ...string) entry {
	dependencies := []any{}
	for _, parent := range parents {
		dependencies = append(dependencies, map[string]any{"id": parent, "requires_success": true})
	}
	return entry{"id": name, "name": name, "kind": kind, "timeout": 3600, "on_start": r.hook(path), "dependencies": dependencies}
}

// query reads rows from the database.
func (s *service) query(query string, args []any, each func(scan func(...any))) {
	s.t.Helper()
	rows, err := s.db.Pool.Query(s.t.Context(), query, args...)
	require.NoError(s.t, err, "%s", query)
	defer rows.Close()
	for rows.Next() {
		each(func(into ...any) { require.NoError(s.t, rows.Scan(into...)) })
	}
	require.NoError(s.t, rows.Err(), "%s", query)
}
