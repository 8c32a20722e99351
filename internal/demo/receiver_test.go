package demo

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bundle is a receiver with what its work calls: a handle that records reports.
type bundle struct {
	r        *Receiver
	receiver *httptest.Server
	handle   string
	events   chan Event
	trouble  chan string
	reports  chan report
	log      bytes.Buffer // to be read when the receiver is closed
}

func (b *bundle) Webhook(e Event)           { b.events <- e }
func (b *bundle) Trouble(step, what string) { b.trouble <- step + ": " + what }

type report struct {
	method string
	body   map[string]any
}

// setup answers reports with the given status.
func setup(t *testing.T, answer func(report) int) *bundle {
	t.Helper()
	b := &bundle{events: make(chan Event, 100), trouble: make(chan string, 100), reports: make(chan report, 1000)}
	handle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := report{method: req.Method}
		if err := json.NewDecoder(req.Body).Decode(&r.body); err != nil {
			t.Errorf("body of %s: %v", req.Method, err)
		}
		b.reports <- r
		w.WriteHeader(answer(r))
	}))
	t.Cleanup(handle.Close)
	b.handle = handle.URL + "/task/1?attempt=1&token=secret"
	b.r = NewReceiver("http://receiver", 1, slog.New(slog.NewTextHandler(&b.log, nil)), b)
	b.receiver = httptest.NewServer(b.r.Handler())
	t.Cleanup(b.receiver.Close)
	t.Cleanup(b.r.Close) // first: its work calls the handle
	return b
}

// post calls the receiver as Task Runner would, and returns the status.
func (b *bundle) post(t *testing.T, path, task, key, body string) int {
	t.Helper()
	target := b.receiver.URL + path + "?handle=" + url.QueryEscape(b.handle)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Task-Id", task)
	req.Header.Set("Idempotency-Key", key)
	resp, err := b.receiver.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

func accepted(report) int { return http.StatusOK }

// next returns the next of a channel, or fails.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestWorkReportsProgressAndSuccess(t *testing.T) {
	t.Parallel()
	b := setup(t, accepted)
	require.Equal(t, http.StatusAccepted, b.post(t, "/start", "t1", "t1:start", `{"step": "build", "seconds": 0.6, "items": 5, "bad": 1}`))
	e := next(t, b.events)
	require.Equal(t, []any{onStart, "build", "t1", http.StatusAccepted}, []any{e.Kind, e.Step, e.TaskID, e.Status})

	// 0.6 s are two reports of 5 items.
	require.Equal(t, report{"PUT", map[string]any{"new_success": 2.0, "new_failures": 0.0}}, next(t, b.reports))
	require.Equal(t, report{"PUT", map[string]any{"new_success": 2.0, "new_failures": 1.0}}, next(t, b.reports))
	require.Equal(t, report{"PATCH", map[string]any{"status": "Success"}}, next(t, b.reports))
}

func TestWorkReportsFailure(t *testing.T) {
	t.Parallel()
	b := setup(t, accepted)
	b.post(t, "/start", "t1", "t1:start", `{"seconds": 0.001, "reason": "3 findings"}`)
	require.Equal(t, report{"PATCH", map[string]any{"status": "Failure", "failure_reason": "3 findings"}}, next(t, b.reports))
}

// on_start is delivered at least once: the second delivery is accepted and starts nothing.
func TestARepeatedStartIsDoneOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, accepted)
	require.Equal(t, http.StatusAccepted, b.post(t, "/start", "t1", "t1:start", `{"seconds": 0.001}`))
	require.Equal(t, http.StatusOK, b.post(t, "/start", "t1", "t1:start", `{"seconds": 0.001}`))
	next(t, b.reports)
	require.Equal(t, http.StatusAccepted, b.post(t, "/start", "t2", "t2:start", `{"seconds": 0.001, "reason": "other"}`))
	require.Equal(t, "other", next(t, b.reports).body["failure_reason"], "a report of the repeated start would have come before")
}

func TestStartsAreRefusedAsOftenAsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t, accepted)
	body := `{"seconds": 0.001, "refuse": 2}`
	require.Equal(t, http.StatusServiceUnavailable, b.post(t, "/start", "t1", "t1:start", body))
	require.Equal(t, http.StatusServiceUnavailable, b.post(t, "/start", "t1", "t1:start", body))
	require.Equal(t, http.StatusAccepted, b.post(t, "/start", "t1", "t1:start", body))
	require.Equal(t, "PATCH", next(t, b.reports).method)
}

// The result is reported again while the service is in trouble, progress is not.
func TestOnlyTheResultIsRepeated(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := 0
	b := setup(t, func(r report) int {
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen <= 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	b.post(t, "/start", "t1", "t1:start", `{"seconds": 0.001, "items": 1}`)
	methods := []string{}
	for range 4 {
		methods = append(methods, next(t, b.reports).method)
	}
	require.Equal(t, []string{"PUT", "PATCH", "PATCH", "PATCH"}, methods)
}

// A report that fails is told, to people and in the log, and neither gets to know the token in the handle.
func TestFailedReportsAreToldWithoutTheToken(t *testing.T) {
	t.Parallel()
	b := setup(t, func(report) int { return http.StatusUnauthorized })
	body := `{"step": "build", "seconds": 0.001, "items": 1}`
	b.post(t, "/start", "t1", "t1:start", body)
	address := strings.TrimSuffix(b.handle, "?attempt=1&token=secret")
	require.Equal(t, "build: progress not reported: PUT "+address+" answered 401: ", next(t, b.trouble))
	require.Equal(t, "build: result not reported: PATCH "+address+" answered 401: ", next(t, b.trouble))

	b.handle = "http://127.0.0.1:0/task/2?attempt=1&token=secret" // nobody can listen there
	b.post(t, "/start", "t2", "t2:start", body)
	require.Contains(t, next(t, b.trouble), "build: progress not reported: PUT http://127.0.0.1:0/task/2: ")
	b.handle = "http://127.0.0.1/\x7f?token=secret"
	b.post(t, "/start", "t3", "t3:start", body)
	require.Contains(t, next(t, b.trouble), "build: progress not reported: PUT http://127.0.0.1/\x7f: ")
	b.r.Close()
	require.Contains(t, b.log.String(), "progress not reported")
	require.NotContains(t, b.log.String(), "secret")
}

func TestACanceledTaskIsGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t, accepted)
	b.post(t, "/start", "t1", "t1:start", `{"step": "soak", "seconds": 3600, "items": 36000}`)
	next(t, b.events)
	require.Equal(t, "PUT", next(t, b.reports).method)
	require.Equal(t, http.StatusNoContent, b.post(t, "/hook/on_cancel", "t1", "t1:cancel", `{"step": "soak"}`))
	e := next(t, b.events)
	require.Equal(t, []any{onCancel, "soak"}, []any{e.Kind, e.Step})
	ended := make(chan struct{})
	go func() {
		b.r.jobs.Wait()
		close(ended)
	}()
	next(t, ended) // the work would have taken an hour
}

func TestReceiverRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	b := setup(t, accepted)
	for _, body := range []string{"", "[]", `{"seconds": -1}`, `{"items": 1, "bad": 2}`, `{"items": "x"}`} {
		require.Equal(t, http.StatusBadRequest, b.post(t, "/start", "t1", "k", body), body)
	}
	require.Equal(t, http.StatusNotFound, b.post(t, "/hook/on_monday", "t1", "k", "{}"))
	resp, err := http.Post(b.receiver.URL+"/start", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, "no handle")
	http.DefaultClient.CloseIdleConnections()
}

func TestPortions(t *testing.T) {
	t.Parallel()
	for _, w := range []Work{{}, {Items: 1}, {Items: 7, Bad: 7}, {Items: 60, Bad: 3}, {Items: 420}, {Items: 3, Bad: 1}} {
		for _, total := range []time.Duration{time.Millisecond, time.Second, 3 * time.Second, time.Minute} {
			all := portions(w, total)
			require.NotEmpty(t, all)
			require.LessOrEqual(t, len(all), max(1, int(total/reportEvery)))
			var sum portion
			for _, p := range all {
				require.GreaterOrEqual(t, p.Success, int64(0))
				require.GreaterOrEqual(t, p.Failures, int64(0))
				sum.Success += p.Success
				sum.Failures += p.Failures
			}
			require.Equal(t, portion{w.Items - w.Bad, w.Bad}, sum)
		}
	}
}
