package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// patience bounds every wait. It is long because several of these tests share two cores.
const patience = 40 * time.Second

func TestMain(m *testing.M) { testdb.Main(m) }

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

// replica is a running app.
type replica struct {
	url  string
	stop func() // drains it and waits for its end; may be called again
}

// startReplica runs a replica with the role of the service, until the test ends or stop is called.
func startReplica(t *testing.T, db *testdb.DB, flags ...string) *replica {
	t.Helper()
	return startReplicaAs(t, db.Login(t, "taskrunner_service"), flags...)
}

// startReplicaAs runs a replica with a DSN.
func startReplicaAs(t *testing.T, dsn string, flags ...string) *replica {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &replica{url: "http://" + listener.Addr().String()}
	c, err := config.Parse(append([]string{
		"--database-url", dsn, "--host-url", r.url, "--drain-timeout-secs=20", "--ssrf-allow=127.0.0.1",
	}, flags...)...)
	require.NoError(t, err)
	require.NoError(t, c.Check())

	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, c, app.Options{
			Version: "test", Listener: listener, Log: slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
			Ready: func(net.Addr) { close(ready) },
		})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the replica does not end")
		}
	})
	t.Cleanup(r.stop)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the replica ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the replica does not start")
	}
	return r
}

// logWriter shows a replica's warnings with the test that made them.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(line))
	return len(line), nil
}

// do makes a request and decodes the answer into answer, unless that is nil.
func do(t *testing.T, method, url string, body, answer any) (status int) {
	t.Helper()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, payload)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if answer != nil {
		require.NoError(t, json.Unmarshal(raw, answer), "%s", raw)
	}
	return resp.StatusCode
}

// entry is a task to create.
type entry map[string]any

// submit creates a batch over HTTP and returns its tasks by name.
func (r *replica) submit(t *testing.T, entries ...entry) map[string]task.Task {
	t.Helper()
	var tasks []task.Task
	require.Equal(t, http.StatusCreated, do(t, http.MethodPost, r.url+"/task", entries, &tasks))
	byName := map[string]task.Task{}
	for _, created := range tasks {
		byName[created.Name] = created
	}
	return byName
}

func (r *replica) task(t *testing.T, id uuid.UUID) (got task.Task) {
	t.Helper()
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/task/"+id.String(), nil, &got))
	return got
}

// await returns the task once it has the status.
func (r *replica) await(t *testing.T, id uuid.UUID, status task.Status) (got task.Task) {
	t.Helper()
	require.Eventuallyf(t, func() bool {
		got = r.task(t, id)
		return got.Status == status || got.Status.Terminal()
	}, patience, 10*time.Millisecond, "task %s does not become %s", id, status)
	require.Equal(t, status, got.Status)
	return got
}

// staysPending watches a task for longer than any loop or pulse sleeps.
func (r *replica) staysPending(t *testing.T, id uuid.UUID) {
	t.Helper()
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		require.Equal(t, task.Pending, r.task(t, id).Status)
	}
}

func (r *replica) metrics(t *testing.T) string {
	t.Helper()
	resp, err := client.Get(r.url + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(raw)
}

// hook is a webhook of the receiver.
func (r *receiver) hook(path string) map[string]any {
	return map[string]any{"kind": "Webhook", "params": map[string]any{"url": r.url + path, "verb": "Post", "body": map[string]any{"path": path}}}
}

// call is a webhook call as the receiver got it.
type call struct {
	path, key, trigger, handle string
	at                         time.Time
	header                     http.Header
}

// receiver is what webhooks call. It keeps all calls.
type receiver struct {
	url    string
	answer func(w http.ResponseWriter, r *http.Request, c call) // may be nil: 200
	work   sync.WaitGroup                                       // reports that are under way

	mu    sync.Mutex
	calls []call
}

// newReceiver starts a receiver that ends with the test.
func newReceiver(t *testing.T, answer func(http.ResponseWriter, *http.Request, call)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
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
	c := call{
		path: req.URL.Path, key: req.Header.Get("Idempotency-Key"), trigger: req.Header.Get("X-Task-Trigger"),
		handle: req.URL.Query().Get("handle"), at: time.Now(), header: req.Header,
	}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req, c)
	}
}

// got returns the calls to a path, "" for all.
func (r *receiver) got(path string) (calls []call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		if path == "" || c.path == path {
			calls = append(calls, c)
		}
	}
	return calls
}

// awaitCalls returns the calls to a path once there are n.
func (r *receiver) awaitCalls(t *testing.T, path string, n int) []call {
	t.Helper()
	require.Eventuallyf(t, func() bool { return len(r.got(path)) >= n }, patience, 5*time.Millisecond, "no %d calls of %s", n, path)
	calls := r.got(path)
	require.Len(t, calls, n)
	return calls
}

// report tells the service by the handle, in the background, that a task succeeded. A replica that stops may close an idle connection
// just when it is used again: then nobody has read the request, and HTTP leaves it to the client to repeat it.
func (r *receiver) report(t *testing.T, c call) {
	r.work.Go(func() {
		status, err := reportSuccess(c)
		if status == 0 && errors.Is(err, io.EOF) {
			status, err = reportSuccess(c)
		}
		if status != http.StatusOK {
			t.Errorf("report: %d %v", status, err)
		}
	})
}

// insist reports as often as is needed: until the service knows that the task has ended.
func (r *receiver) insist(t *testing.T, c call) {
	r.work.Go(func() {
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			status, err := reportSuccess(c)
			if status == http.StatusOK || status == http.StatusConflict {
				return
			}
			if time.Since(began) > patience {
				t.Errorf("report: %d %v", status, err)
				return
			}
		}
	})
}

func reportSuccess(c call) (status int, err error) {
	req, err := http.NewRequest(http.MethodPatch, c.handle, strings.NewReader(`{"status": "Success"}`))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, errors.Join(err, errors.New(string(answer)))
}

// succeeding reports Success for every on_start.
func succeeding(t *testing.T) *receiver {
	t.Helper()
	var r *receiver
	r = newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, c call) {
		if c.trigger == "start" {
			r.report(t, c)
		}
	})
	return r
}

// userOf returns the user of a DSN.
func userOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	return u.User.Username()
}
