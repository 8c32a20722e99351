package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// resumption bounds how long after the database is back everything works again. The promise is 5 s; what was measured is logged.
const resumption = 30 * time.Second

// traffic are clients that create small graphs, whose tasks succeed by the handle, while something happens to the service. It keeps
// what it knows of them.
type traffic struct {
	hooks *receiver
	urls  []string
	// losesRequests: processes of the service end. Else each request has an answer.
	losesRequests atomic.Bool

	graphs  atomic.Int64 // created, each with graphTasks tasks
	refused atomic.Int64 // answers with 503
	slowest atomic.Int64 // answer, in nanoseconds
	stop    chan struct{}
	end     func() // closes stop
	work    sync.WaitGroup
}

// graphTasks is how many tasks a graph has: two that follow a third.
const graphTasks = 3

// startTraffic begins with some clients for each of the replicas.
func startTraffic(t *testing.T, replicas ...*replica) *traffic {
	t.Helper()
	f := &traffic{stop: make(chan struct{})}
	f.hooks = newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, c call) {
		if c.trigger == "start" {
			f.hooks.work.Go(func() { f.insist(t, http.MethodPatch, c.handle, `{"status": "Success"}`, "") })
		}
	})
	for _, r := range replicas {
		f.urls = append(f.urls, r.url)
	}
	f.end = sync.OnceFunc(func() { close(f.stop) })
	t.Cleanup(func() { f.end(); f.work.Wait() })
	for range 4 {
		f.work.Go(func() { f.create(t) })
	}
	return f
}

// create creates graphs until stop is closed.
func (f *traffic) create(t *testing.T) {
	for {
		select {
		case <-f.stop:
			return
		case <-time.After(rand.N(20 * time.Millisecond)):
		}
		var entries []entry
		for _, name := range []string{"a", "b", "c"} {
			e := entry{"id": name, "name": name, "kind": "traffic", "timeout": 600, "on_start": f.hooks.hook("/start"), "on_success": []any{f.hooks.hook("/done")}}
			if name != "a" {
				e["dependencies"] = []any{map[string]any{"id": "a", "requires_success": true}}
			}
			entries = append(entries, e)
		}
		body, err := json.Marshal(entries)
		if err != nil {
			t.Error(err)
			return
		}
		if f.insist(t, http.MethodPost, f.urls[rand.IntN(len(f.urls))]+"/task", string(body), uuid.NewString()) {
			f.graphs.Add(1)
		}
	}
}

// insist sends a request again and again until it is done.
func (f *traffic) insist(t *testing.T, method, url, body, key string) bool {
	for began := time.Now(); ; time.Sleep(rand.N(50 * time.Millisecond)) {
		switch status := f.send(t, method, url, body, key); {
		case status < 300 && status > 0, status == http.StatusConflict && method == http.MethodPatch: // it was done, only the answer was lost
			return true
		case status != 0 && status != http.StatusServiceUnavailable:
			return false
		case t.Failed():
			return false
		case time.Since(began) > 2*patience:
			t.Errorf("%s %s: not done within %v", method, url, 2*patience)
			return false
		case status == 0 && method == http.MethodPost: // the other one, perhaps
			url = f.urls[rand.IntN(len(f.urls))] + "/task"
		case status == 0: // handles lead to the one that started the task
			at := strings.Index(url, "/task/")
			url = f.urls[rand.IntN(len(f.urls))] + url[at:]
		}
	}
}

// send sends a request and returns the status of its answer, 0 without one. Only success, conflicts, and 503 with
// Retry-After are answers to expect.
func (f *traffic) send(t *testing.T, method, url, body, key string) int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Error(err)
		return -1
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		var answer []byte
		if answer, err = io.ReadAll(resp.Body); err == nil {
			f.noteTime(time.Since(began))
			f.judge(t, method, resp, answer)
			return resp.StatusCode
		}
	}
	if ctx.Err() != nil || !f.losesRequests.Load() {
		t.Errorf("%s %s: no answer: %v", method, url, err)
	}
	return 0
}

func (f *traffic) judge(t *testing.T, method string, resp *http.Response, answer []byte) {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusConflict:
	case http.StatusServiceUnavailable:
		f.refused.Add(1)
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("%s: 503 with Retry-After %q", method, resp.Header.Get("Retry-After"))
		}
	default:
		t.Errorf("%s: %d %s", method, resp.StatusCode, answer)
	}
}

func (f *traffic) noteTime(took time.Duration) {
	for old := f.slowest.Load(); int64(took) > old && !f.slowest.CompareAndSwap(old, int64(took)); old = f.slowest.Load() {
	}
}

// flows waits until some more graphs were created and called.
func (f *traffic) flows(t *testing.T) {
	t.Helper()
	const more = 20
	graphs, calls := f.graphs.Load(), len(f.hooks.got("/done"))
	require.Eventually(t, func() bool {
		return f.graphs.Load() >= graphs+more && len(f.hooks.got("/done")) >= calls+more
	}, 2*patience, 5*time.Millisecond)
}

// resumes waits until new graphs are created and new webhooks called, and logs how long after the database was back that was.
func (f *traffic) resumes(t *testing.T, what string, back time.Time) {
	t.Helper()
	graphs, calls := f.graphs.Load(), len(f.hooks.got("/start"))
	var created, started time.Duration
	require.Eventually(t, func() bool {
		if created == 0 && f.graphs.Load() > graphs {
			created = time.Since(back)
		}
		if started == 0 && len(f.hooks.got("/start")) > calls {
			started = time.Since(back)
		}
		return created > 0 && started > 0
	}, resumption, time.Millisecond, "%s: work does not resume", what)
	t.Logf("%s: after the database was back it took %v to a created graph, %v to a webhook", what, created.Round(time.Millisecond), started.Round(time.Millisecond))
}

// finish ends the clients and checks that all graphs that were created are there, once each, that all their tasks ended well
// and all their webhooks came.
func (f *traffic) finish(t *testing.T, dsn string) {
	t.Helper()
	f.end()
	f.work.Wait()
	tasks := int(f.graphs.Load()) * graphTasks
	require.Positive(t, tasks)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var all, open, undelivered int
	require.Eventually(t, func() bool {
		err := conn.QueryRow(t.Context(), `select count(*), count(*) filter (where status <> 'Success') from taskrunner.task where kind = 'traffic'`).Scan(&all, &open)
		require.NoError(t, err)
		err = conn.QueryRow(t.Context(), `select count(*) from taskrunner.delivery where status <> 'Delivered'`).Scan(&undelivered)
		require.NoError(t, err)
		return open == 0 && undelivered == 0
	}, 2*patience, 50*time.Millisecond, "tasks or deliveries do not end")
	require.Equal(t, tasks, all, "a graph is lost, or was created twice")
	f.hooks.work.Wait()
	started, done := map[string]int{}, map[string]map[string]bool{}
	for _, c := range f.hooks.got("") {
		id, _, _ := strings.Cut(c.handle[strings.Index(c.handle, "/task/")+len("/task/"):], "?")
		if c.path == "/start" {
			started[id]++
			continue
		}
		if done[id] == nil {
			done[id] = map[string]bool{}
		}
		done[id][c.key] = true
	}
	require.Len(t, started, tasks, "a task was never started")
	require.Len(t, done, tasks, "a delivery never came")
	for id, keys := range done {
		require.Len(t, keys, 1, "a delivery of task %s came with other keys", id)
	}
	t.Logf("%d graphs, %d answers with 503, slowest answer %v", f.graphs.Load(), f.refused.Load(), time.Duration(f.slowest.Load()).Round(time.Millisecond))
	rows, err := conn.Query(t.Context(), "select invariant || ' ' || detail::text from taskrunner.check_invariants()")
	require.NoError(t, err)
	broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, broken)
}

// awaitHealth waits until /health and /ready say that the database is there, or that it is not.
func (r *replica) awaitHealth(t *testing.T, there bool) {
	t.Helper()
	want := []any{http.StatusServiceUnavailable, "degraded", "unhealthy", http.StatusServiceUnavailable, "not_ready", "cannot acquire database connection"}
	if there {
		want = []any{http.StatusOK, "ok", "healthy", http.StatusOK, "ready", ""}
	}
	var got []any
	require.Eventually(t, func() bool {
		var health, ready struct{ Status, Database, Reason string }
		healthStatus := do(t, http.MethodGet, r.url+"/health", nil, &health)
		readyStatus := do(t, http.MethodGet, r.url+"/ready", nil, &ready)
		got = []any{healthStatus, health.Status, health.Database, readyStatus, ready.Status, ready.Reason}
		for i := range want {
			if got[i] != want[i] {
				return false
			}
		}
		return true
	}, resumption, 10*time.Millisecond, "want %v, got %v", want, &got)
}

// awaitListener waits until /health says what of the listener.
func (r *replica) awaitListener(t *testing.T, state string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var health struct{ Listener string }
		return do(t, http.MethodGet, r.url+"/health", nil, &health) == http.StatusOK && health.Listener == state
	}, patience, 10*time.Millisecond, "the listener is not %s", state)
}
