package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// many is n entries whose webhook of this name goes to a receiver.
func many(n int, name, hook string, r *receiver) (entries []entry) {
	for i := range n {
		id := fmt.Sprint(name, i)
		e := entry{"id": id, "name": id, "kind": "k", "on_start": r.hook("/start")}
		if hook != "on_start" {
			e[hook] = []any{r.hook("/end")}
		}
		entries = append(entries, e)
	}
	return entries
}

// A receiver that never answers has its share of the slots, and those that come after it go on as if it were not there.
func TestReceiverThatHangs(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--worker-webhook-concurrency=10", "--worker-claim-timeout-secs=200", "--webhook-timeout-secs=100", "--drain-timeout-secs=1")
	bad, good := newHolding(t), succeeding(t)
	stuck := r.submit(t, many(60, "bad", "on_start", bad.receiver)...)
	bad.awaitCalls(t, "/start", 1) // an eighth of the slots, at least one: it has never answered
	var all []task.Task
	for range 2 {
		for _, created := range r.submit(t, many(50, "good", "on_start", good)...) {
			all = append(all, created)
		}
	}
	for _, created := range all {
		r.await(t, created.ID, task.Success)
	}
	require.Len(t, bad.got("/start"), 1)

	host := strings.TrimPrefix(bad.url, "http://")
	want := "Its webhook host " + host + " is at its share of the webhook slots."
	require.Eventually(t, func() bool {
		var reasons []string
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select array(select reason from taskrunner.why($1))", stuck["bad59"].ID).Scan(&reasons))
		return len(reasons) == 1 && reasons[0] == want
	}, patience, 50*time.Millisecond, "why does not name the host")
	require.Eventually(t, func() bool {
		return strings.Contains(r.metrics(t), `tasks_parked{reason="host"} 59`+"\n")
	}, patience, 200*time.Millisecond)

	bad.release()
	require.Eventually(t, func() bool { return len(bad.got("/start")) == 60 }, patience, 10*time.Millisecond, "it is back")
	r.await(t, stuck["bad59"].ID, task.Running)
	r.stop()
}

// The same holds for deliveries.
func TestReceiverThatHangsAtTheEnd(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--webhook-delivery-concurrency=10", "--worker-claim-timeout-secs=200", "--webhook-timeout-secs=100", "--drain-timeout-secs=1")
	bad, good := newHolding(t), succeeding(t)
	badEnds := many(40, "bad", "on_success", good)
	for _, e := range badEnds {
		e["on_success"] = []any{bad.hook("/end")}
	}
	r.submit(t, badEnds...)
	bad.awaitCalls(t, "/end", 1)
	r.submit(t, many(50, "good", "on_success", good)...)
	require.Eventually(t, func() bool { return len(good.got("/end")) == 50 }, patience, 10*time.Millisecond)
	require.Len(t, bad.got("/end"), 1)
	bad.release()
	require.Eventually(t, func() bool { return len(bad.got("/end")) == 40 }, patience, 10*time.Millisecond, "it is back")
	r.stop()
}

// However many receivers hang, each with a host of its own, they leave a place for those whose answers come soon, of on_starts and of
// deliveries.
func TestManyReceiversThatHang(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--worker-webhook-concurrency=10", "--webhook-delivery-concurrency=10", "--worker-claim-timeout-secs=200",
		"--webhook-timeout-secs=100", "--drain-timeout-secs=1", "--ssrf-allow=127.0.0.0/8")
	bad, good := newHolding(t), succeeding(t)
	everywhere, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "0.0.0.0:0")
	require.NoError(t, err)
	server := &httptest.Server{Listener: everywhere, Config: &http.Server{Handler: bad}} //nolint:gosec // of the test alone
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(bad.release)
	_, port, err := net.SplitHostPort(everywhere.Addr().String())
	require.NoError(t, err)
	hanging := func(n int, path string) map[string]any {
		return (&receiver{url: fmt.Sprintf("http://127.1.%d.%d:%s", n/200, n%200+1, port)}).hook(path)
	}
	for _, created := range r.submit(t, many(1, "first", "on_success", good)...) { // so that it is known
		r.await(t, created.ID, task.Success)
	}
	good.awaitCalls(t, "/end", 1)
	var entries []entry
	for n := range 300 {
		start, end := fmt.Sprint("start", n), fmt.Sprint("end", n)
		entries = append(entries, entry{"id": end, "name": end, "kind": "k", "on_start": good.hook("/start"), "on_success": []any{hanging(n, "/end")}})
		entries = append(entries, entry{"id": start, "name": start, "kind": "k", "on_start": hanging(n, "/start")})
	}
	r.submit(t, entries...)
	bad.awaitCalls(t, "/start", 9)
	bad.awaitCalls(t, "/end", 9)
	for _, created := range r.submit(t, many(50, "good", "on_success", good)...) {
		r.await(t, created.ID, task.Success)
	}
	require.Eventually(t, func() bool { return len(good.got("/end")) == 51 }, patience, 10*time.Millisecond)
	require.Len(t, bad.got("/start"), 9)
	require.Len(t, bad.got("/end"), 9)
	bad.release()
	require.Eventually(t, func() bool { return len(bad.got("/start")) == 300 && len(bad.got("/end")) == 300 }, patience, 10*time.Millisecond, "they are back")
	r.stop()
}

// A receiver that is down is left alone until one call finds that it is back: no tries are lost meanwhile.
func TestReceiverThatIsDown(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--worker-webhook-concurrency=10", "--webhook-start-max-attempts=100", "--webhook-start-backoff-ms=100")
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	good := succeeding(t)
	down := &receiver{url: "http://" + address}
	created := r.submit(t, many(200, "down", "on_start", down)...)
	tries := func() (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select coalesce(sum(tries), 0) from taskrunner.delivery").Scan(&n))
		return n
	}
	// It is asked again after 1, 2, 4 … s, by one call each time.
	require.Eventually(t, func() bool {
		return strings.Contains(r.metrics(t), `webhook_circuit_state_transitions_total{loop="start",to_state="open"} 3`+"\n")
	}, patience, 20*time.Millisecond)
	require.Contains(t, r.metrics(t), `webhook_circuits_open{loop="start"} 1`+"\n")
	require.Less(t, tries(), 40)
	var untried uuid.UUID
	require.NoError(t, db.Pool.QueryRow(t.Context(), `
		select id from taskrunner.task t where not contacted order by seq desc limit 1`).Scan(&untried))
	require.Eventually(t, func() bool {
		var reason string
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select coalesce(string_agg(reason, ''), '') from taskrunner.why($1)", untried).Scan(&reason))
		return strings.HasPrefix(reason, "The circuit of its webhook host "+address+" is open until ") &&
			strings.HasSuffix(reason, "its last calls failed (connection refused).")
	}, patience, 20*time.Millisecond)
	for _, other := range r.submit(t, many(20, "good", "on_start", good)...) {
		r.await(t, other.ID, task.Success)
	}

	var calls atomic.Int64
	back := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		calls.Add(1)
		down.report(t, call{handle: req.URL.Query().Get("handle")})
	}))
	listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	require.NoError(t, err)
	require.NoError(t, back.Listener.Close())
	back.Listener = listener
	back.Start()
	t.Cleanup(func() {
		back.Close()
		down.work.Wait()
	})
	for _, c := range created {
		r.await(t, c.ID, task.Success)
	}
	require.EqualValues(t, 200, calls.Load())
	require.Contains(t, r.metrics(t), `webhook_circuits_open{loop="start"} 0`+"\n")
	r.stop()
}

// Ten thousand deliveries that wait for a receiver which hangs stay in the database: the process is no larger for them, and they
// come when it is back.
func TestWaitingDeliveriesTakeNoMemory(t *testing.T) {
	t.Parallel()
	const n, most = 10_000, 150 << 10 // KiB
	db := newDB(t)
	p := startProcess(t, db, "--webhook-timeout-secs=100", "--worker-claim-timeout-secs=200", "--drain-timeout-secs=1")
	bad := newHolding(t)
	_, err := db.Pool.Exec(t.Context(), "insert into taskrunner.task (name, kind) select 't' || n, 'k' from generate_series(1, $1) n", n)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `
		insert into taskrunner.action (task_id, trigger, params)
		select id, 'End', jsonb_build_object('url', $1::text, 'verb', 'Post', 'body', repeat('x', 4096)) from taskrunner.task`, bad.url+"/end")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var ended, delivered int
		_, err := db.Pool.Exec(t.Context(), "select count(*) from taskrunner.finish_tasks(array(select id from taskrunner.task where status = 'Running'), 'Success')")
		require.NoError(t, err)
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) filter (where status = 'Success') from taskrunner.task").Scan(&ended))
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.delivery").Scan(&delivered))
		return ended == n && delivered == n
	}, patience, 100*time.Millisecond)
	bad.awaitCalls(t, "/end", 2) // an eighth of the slots
	for range 20 {               // looks for the calls of others meanwhile
		time.Sleep(100 * time.Millisecond)
		size, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(p.cmd.Process.Pid)).Output()
		require.NoError(t, err)
		kib, err := strconv.Atoi(strings.TrimSpace(string(size)))
		require.NoError(t, err)
		require.Less(t, kib, most)
	}
	require.Len(t, bad.got("/end"), 2)
	bad.release()
	require.Eventually(t, func() bool {
		var open int
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.delivery where status <> 'Delivered'").Scan(&open))
		return open == 0
	}, 2*patience, 100*time.Millisecond)
}
