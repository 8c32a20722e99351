package e2e

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// deliveries are a task's deliveries with their log.
func (r *replica) deliveries(t *testing.T, id uuid.UUID) (list []task.LoggedDelivery) {
	t.Helper()
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/task/"+id.String()+"/deliveries", nil, &list))
	return list
}

// awaitDelivery returns the task's delivery of this trigger once it has the status.
func (r *replica) awaitDelivery(t *testing.T, id uuid.UUID, trigger, status string) (got task.LoggedDelivery) {
	t.Helper()
	require.Eventuallyf(t, func() bool {
		for _, d := range r.deliveries(t, id) {
			if d.Trigger == trigger && string(d.Status) == status {
				got = d
				return true
			}
		}
		return false
	}, patience, 20*time.Millisecond, "task %s: no delivery of %s is %s", id, trigger, status)
	return got
}

// The table of the contract's section 8.4: what the end of a call means for on_start and for End and Cancel calls. Each outcome
// has a task whose on_start ends so, with three tries, and one whose on_success does.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--webhook-start-backoff-ms=1", "--webhook-backoff-secs=0", "--webhook-max-attempts=2",
		"--webhook-timeout-secs=1", "--worker-webhook-concurrency=40", "--webhook-delivery-concurrency=40")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	var hooks *receiver
	answer := strings.Repeat("ü", 2000) + "\x00"
	hooks = newReceiver(t, func(w http.ResponseWriter, req *http.Request, c call) {
		_, outcome, _ := strings.Cut(c.path[1:], "/")
		code, err := strconv.Atoi(outcome)
		switch {
		case outcome == "ok" && c.trigger == "start":
			hooks.report(t, c)
		case outcome == "hang":
			<-req.Context().Done()
		case outcome == "break":
			panic(http.ErrAbortHandler)
		case err == nil:
			w.Header().Set("Location", hooks.url+"/never")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, answer)
		}
	})
	const done, next, stop = "success", "transient", "permanent"
	outcomes := map[string]struct {
		start, cause string
	}{
		"200": {done, ""}, "201": {done, ""}, "204": {done, ""}, "299": {done, ""},
		"408": {next, "HTTP 408"}, "425": {next, "HTTP 425"}, "429": {next, "HTTP 429"},
		"500": {next, "HTTP 500"}, "503": {next, "HTTP 503"}, "599": {next, "HTTP 599"},
		"410": {stop, "HTTP 410"},
		"300": {stop, "redirect refused (300)"}, "301": {stop, "redirect refused (301)"}, "304": {stop, "redirect refused (304)"},
		"307": {stop, "redirect refused (307)"}, "400": {stop, "HTTP 400"}, "401": {stop, "HTTP 401"}, "404": {stop, "HTTP 404"},
		"499": {stop, "HTTP 499"}, "600": {stop, "HTTP 600"}, "999": {stop, "HTTP 999"},
		"hang": {next, "timeout after 1s"}, "break": {next, "connection failed: closed before an answer"},
		"refused": {next, "connection refused"}, "tls": {next, "TLS error: "}, "dns": {next, "DNS error: "},
	}
	action := func(kind, outcome string) map[string]any {
		hook := hooks.hook("/" + kind + "/" + outcome)
		params := hook["params"].(map[string]any)
		switch outcome {
		case "refused":
			params["url"] = "http://" + closed.Addr().String() + "/"
		case "tls":
			params["url"] = strings.Replace(hooks.url, "http:", "https:", 1)
		case "dns":
			params["url"] = "http://no-such-host.invalid/"
		}
		return hook
	}
	var entries []entry
	for outcome := range outcomes {
		entries = append(entries,
			entry{"id": "s" + outcome, "name": "start " + outcome, "kind": "k", "timeout": 3600, "on_start": action("start", outcome)},
			entry{"id": "e" + outcome, "name": "end " + outcome, "kind": "k", "on_start": hooks.hook("/start/ok"), "on_success": []any{action("end", outcome)}})
	}
	tasks := r.submit(t, entries...)

	for outcome, want := range outcomes {
		// on_start
		id, tries := tasks["start "+outcome].ID, 1
		var d task.LoggedDelivery
		if want.start == done {
			r.await(t, id, task.Running)
			d = r.awaitDelivery(t, id, "Start", "Delivered")
		} else {
			got := r.await(t, id, task.Failure)
			require.Contains(t, *got.FailureReason, "on_start webhook failed: "+want.cause, outcome)
			d = r.awaitDelivery(t, id, "Start", "Failed")
			if want.start == next {
				tries = 3
			}
		}
		requireLog(t, d, outcome, tries, want.cause)
		require.Len(t, hooks.got("/start/"+outcome), requests(outcome, tries), outcome)

		// on_success
		id, tries = tasks["end "+outcome].ID, 1
		switch {
		case want.start == done:
			d = r.awaitDelivery(t, id, "End", "Delivered")
		case outcome == "410":
			d = r.awaitDelivery(t, id, "End", "Failed")
		default:
			tries = 2
			d = r.awaitDelivery(t, id, "End", "Failed")
		}
		requireLog(t, d, outcome, tries, want.cause)
		calls := hooks.got("/end/" + outcome)
		require.Len(t, calls, requests(outcome, tries), outcome)
		for _, c := range calls {
			require.Equal(t, id.String()+":end:success", c.key, "every try has the same key")
		}
	}
	require.Empty(t, hooks.got("/never"), "redirects are not followed")
}

// requests is how many of the tries reach a receiver.
func requests(outcome string, tries int) int {
	if outcome == "refused" || outcome == "tls" || outcome == "dns" {
		return 0
	}
	return tries
}

// requireLog requires that each try of a delivery is in its log, with what the receiver answered.
func requireLog(t *testing.T, d task.LoggedDelivery, outcome string, tries int, cause string) {
	t.Helper()
	require.EqualValues(t, tries, d.Tries, outcome)
	require.Len(t, d.Attempts, tries, outcome)
	for _, a := range d.Attempts {
		require.WithinDuration(t, time.Now(), a.At, 2*patience)
		if outcome == "hang" {
			require.GreaterOrEqual(t, a.LatencyMS, int32(1000))
		}
		if cause == "" {
			require.Nil(t, a.Error)
		} else {
			require.Contains(t, *a.Error, cause)
		}
		code, err := strconv.Atoi(outcome)
		if err != nil {
			require.Nil(t, a.StatusCode)
			require.Nil(t, a.Response)
			continue
		}
		require.EqualValues(t, code, *a.StatusCode)
		if code == http.StatusNoContent || code == http.StatusNotModified {
			require.Empty(t, *a.Response)
		} else {
			require.Equal(t, strings.Repeat("ü", 1024), *a.Response, "the first 2 KiB")
		}
	}
}

// A receiver says when it wants to be called again, in seconds or by a date; the longer of that and the own backoff counts.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--webhook-start-backoff-ms=1000", "--webhook-backoff-secs=10")
	var hooks *receiver
	hooks = newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		switch c.path {
		case "/ok":
			hooks.report(t, c)
			return
		case "/seconds":
			w.Header().Set("Retry-After", "100")
		case "/date":
			w.Header().Set("Retry-After", time.Now().Add(101*time.Second).UTC().Format(http.TimeFormat)) // whole seconds, cut
		case "/sooner":
			w.Header().Set("Retry-After", "1")
		case "/endless":
			w.Header().Set("Retry-After", "999999999999")
		}
		w.WriteHeader(http.StatusTooManyRequests)
	})
	waits := map[string]struct{ start, end [2]time.Duration }{
		"seconds": {[2]time.Duration{100 * time.Second, 100 * time.Second}, [2]time.Duration{100 * time.Second, 100 * time.Second}},
		"date":    {[2]time.Duration{99 * time.Second, 101 * time.Second}, [2]time.Duration{99 * time.Second, 101 * time.Second}},
		"sooner":  {[2]time.Duration{time.Second, 1250 * time.Millisecond}, [2]time.Duration{9 * time.Second, 11 * time.Second}},
		"endless": {[2]time.Duration{300 * time.Second, 300 * time.Second}, [2]time.Duration{24 * time.Hour, 24 * time.Hour}},
	}
	var entries []entry
	for name := range waits {
		entries = append(entries,
			entry{"id": "s" + name, "name": "start " + name, "kind": "k", "on_start": hooks.hook("/" + name)},
			entry{"id": "e" + name, "name": "end " + name, "kind": "k", "on_start": hooks.hook("/ok"), "on_success": []any{hooks.hook("/" + name)}})
	}
	tasks := r.submit(t, entries...)
	for name, want := range waits {
		for trigger, interval := range map[string][2]time.Duration{"Start": want.start, "End": want.end} {
			id := tasks[strings.ToLower(trigger)+" "+name].ID
			var d task.LoggedDelivery
			require.Eventually(t, func() bool {
				for _, d = range r.deliveries(t, id) {
					if d.Trigger == trigger && d.Tries > 0 && d.NextTryAt != nil {
						return true
					}
				}
				return false
			}, patience, 10*time.Millisecond)
			// It was settled some time after the answer, for which there is no limit.
			wait := d.NextTryAt.Sub(d.Attempts[0].At)
			require.GreaterOrEqual(t, wait, interval[0], "%s %s", trigger, name)
			require.Less(t, wait, interval[1]+patience, "%s %s", trigger, name)
			if trigger == "Start" {
				require.Equal(t, task.Pending, r.task(t, id).Status, "the slot is free")
			}
		}
	}
}
