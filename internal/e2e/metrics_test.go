package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// contractMetrics is the table of section 11: type, name, and of the labels those values that are known beforehand. The last two lines
// are metrics beyond it.
const contractMetrics = `
counter api_http_requests_total endpoint,method,status
histogram api_http_requests_duration_seconds endpoint,method,status
counter tasks_created_total
counter tasks_with_dependencies_total
counter task_status_transitions_total from_status,to_status
counter tasks_completed_total outcome=Success|Failure|Canceled,kind
counter tasks_cancelled_total
counter tasks_timed_out_total
counter tasks_canceled_dead_end_total
counter tasks_unblocked_total
counter tasks_failed_by_dependency_total
counter dependency_propagations_total parent_outcome=Success|Failure|Canceled
histogram task_duration_seconds kind,outcome 1 5 10 30 60 300 600 1800 3600
histogram task_wait_seconds kind 0.1 0.5 1 2 5 10 30 60 300
gauge tasks_by_status status=Waiting|Pending|Claimed|Running|Paused
gauge running_tasks_by_kind kind
counter tasks_db_save_failures_total
counter batch_update_failures_total
counter tasks_blocked_by_concurrency_total
counter worker_loop_iterations_total
histogram worker_loop_duration_seconds - 0.001 0.005 0.01 0.05 0.1 0.25 0.5 1
histogram tasks_processed_per_loop - 0 1 5 10 25 50 100
counter webhook_attempts_total trigger=start|end|cancel,outcome=success|failure
counter webhook_executions_total trigger=start|end|cancel,outcome=success|failure
histogram webhook_duration_seconds trigger=start|end|cancel 0.01 0.05 0.1 0.25 0.5 1 2.5 5 10
gauge webhooks_in_flight phase=start|end|cancel
counter webhook_idempotent_skips_total trigger=start|end_success|end_failure|cancel
counter webhook_idempotent_conflicts_total
histogram db_query_duration_seconds query 0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1
counter slow_queries_total query
counter circuit_breaker_state_transitions_total to_state=open|half_open|closed
counter circuit_breaker_rejections_total
counter retention_tasks_cleaned_total
counter retention_cleanup_runs_total outcome=success|error
histogram retention_cleanup_duration_seconds - 0.1 0.5 1 5 10 30 60
gauge deliveries_by_status trigger=start|end|cancel,status=Pending|Sending|Failed
gauge deliveries_oldest_due_age_seconds
counter dead_letters_total trigger=start|end|cancel
counter deliveries_replayed_total
gauge queue_depth
gauge oldest_pending_age_seconds
gauge tasks_parked reason=rule|run_at|host
counter task_retries_total cause=timeout|on_start|report
counter notify_wakeups_total source=notify|poll
gauge listener_connected
counter listener_reconnects_total
gauge requests_in_flight
counter requests_shed_total reason=in_flight|database
counter pool_exhausted_total
counter auth_failures_total code=401|403
gauge webhook_circuits_open loop=start|deliver
counter webhook_circuit_state_transitions_total loop=start|deliver,to_state=open|half_open|closed
`

// meter reads the metrics of replicas, and remembers which values of labels were ever seen with something else than 0.
type meter struct {
	t     *testing.T
	mu    sync.Mutex
	types map[string]string
	les   map[string][]string
	moved map[string]bool // name, and name{label=value} for each label
}

var sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
var label = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

func (m *meter) read(replicas ...*replica) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range replicas {
		text := r.metrics(m.t)
		for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
			m.types[found[1]] = found[2]
		}
		for _, found := range sample.FindAllStringSubmatch(text, -1) {
			name, labels, value := found[1], label.FindAllStringSubmatch(found[2], -1), found[3]
			if base, ok := strings.CutSuffix(name, "_bucket"); ok && m.types[base] == "histogram" {
				le := labels[len(labels)-1][2]
				if !slices.Contains(m.les[base], le) && le != "+Inf" {
					m.les[base] = append(m.les[base], le)
				}
				continue
			}
			if base, ok := strings.CutSuffix(name, "_count"); ok && m.types[base] == "histogram" {
				name = base
			}
			if value == "0" {
				continue
			}
			m.moved[name] = true
			for _, l := range labels {
				m.moved[name+" "+l[1]+"="+l[2]] = true
			}
		}
	}
}

// await reads until all have been seen: names, with one label perhaps.
func (m *meter) await(r *replica, wanted ...string) {
	m.t.Helper()
	var missing []string
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		m.read(r)
		missing = nil
		for _, w := range wanted {
			if !m.moved[w] {
				missing = append(missing, w)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("these do not move: %q", missing)
		}
	}
}

// gate is a receiver each of whose calls waits until it is let go with a status, in the order of the calls to its path.
type gate struct {
	*receiver
	mu    sync.Mutex
	calls map[string]int
	let   map[string]chan int
	done  chan struct{} // closed at the end of the test
}

func newGate(t *testing.T) *gate {
	g := &gate{calls: map[string]int{}, let: map[string]chan int{}, done: make(chan struct{})}
	g.receiver = newReceiver(t, func(w http.ResponseWriter, r *http.Request, c call) {
		g.mu.Lock()
		g.calls[c.path]++
		let := g.of(c.path, g.calls[c.path])
		g.mu.Unlock()
		select {
		case status := <-let:
			w.WriteHeader(status)
		case <-g.done:
		case <-r.Context().Done():
		}
	})
	return g
}

// of returns what the n-th call of a path waits for. The caller holds the lock.
func (g *gate) of(path string, n int) chan int {
	key := fmt.Sprint(path, " ", n)
	if g.let[key] == nil {
		g.let[key] = make(chan int, 1)
	}
	return g.let[key]
}

func (g *gate) answer(path string, n, status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(path, n) <- status
}

// Every metric of the contract is there, with its type, labels and buckets, and each of them moves when what it counts happens.
func TestMetrics(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := db.Pool.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	flags := []string{"--webhook-max-attempts=6", "--webhook-backoff-secs=0", "--webhook-start-backoff-ms=1", "--worker-loop-interval-ms=100",
		"--webhook-timeout-secs=90", "--worker-claim-timeout-secs=120"}
	start := func(more ...string) *replica { return startReplica(t, db, append(slices.Clone(flags), more...)...) }
	m := &meter{t: t, types: map[string]string{}, les: map[string][]string{}, moved: map[string]bool{}}
	patch := func(r *replica, id uuid.UUID, body map[string]any) {
		t.Helper()
		require.Equal(t, http.StatusOK, do(t, http.MethodPatch, r.url+"/task/"+id.String(), body, nil))
	}
	quick, broken := newReceiver(t, nil), newReceiver(t, refuse)
	var hears atomic.Bool
	deaf := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ call) {
		if !hears.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	// Each with a host of its own: one that is slow gets few calls at once.
	held := map[string]*gate{}
	for _, path := range []string{"/start", "/cancel", "/failure", "/success", "/both"} {
		held[path] = newGate(t)
		defer close(held[path].done)
	}
	gone := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ call) { w.WriteHeader(http.StatusGone) })
	hook := func(to *receiver, path string) map[string]any { return to.hook(path) }
	one := func(r *replica, e entry) uuid.UUID {
		t.Helper()
		for key, value := range (entry{"id": "t", "name": "t", "kind": "k", "on_start": hook(quick, "/start")}) {
			if _, ok := e[key]; !ok {
				e[key] = value
			}
		}
		return r.submit(t, e)["t"].ID
	}

	// Nobody works: what is queued and due grows old.
	idle := start("--worker-enabled=0")
	ready := one(idle, entry{"on_success": []any{hook(quick, "/end")}})
	done := one(idle, entry{"on_success": []any{hook(quick, "/end")}})
	later := one(idle, entry{"run_at": time.Now().Add(time.Hour)})
	exec("update taskrunner.task set status = 'Claimed' where id = $1", done)
	exec("update taskrunner.task set status = 'Success' where id = $1", done)
	m.await(idle, "queue_depth", "oldest_pending_age_seconds", "deliveries_oldest_due_age_seconds", "tasks_by_status status=Pending",
		"deliveries_by_status trigger=end", "deliveries_by_status status=Pending", "tasks_parked reason=run_at")

	// Starts, ends, cancels, in every way.
	r := start()
	r.await(t, ready, task.Running)
	patch(r, ready, map[string]any{"status": "Success"})
	idle.stop()
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+later.String(), nil, nil))
	slow := one(r, entry{"timeout": 1, "retry": map[string]any{"max_attempts": 2, "initial_delay_secs": 0.01}})
	reported := one(r, entry{"retry": map[string]any{"max_attempts": 2, "initial_delay_secs": 0.01}})
	r.await(t, reported, task.Running)
	patch(r, reported, map[string]any{"status": "Failure", "failure_reason": "no"})
	refused := one(r, entry{"on_start": hook(broken, "/start"), "retry": map[string]any{"max_attempts": 2, "initial_delay_secs": 0.01}})
	graph := r.submit(t,
		entry{"id": "p", "name": "p", "kind": "k", "on_start": hook(quick, "/start"), "on_success": []any{hook(broken, "/end")}},
		entry{"id": "c", "name": "c", "kind": "k", "on_start": hook(quick, "/start"), "dependencies": []any{map[string]any{"id": "p", "requires_success": true}},
			"on_cancel": []any{hook(gone, "/cancel"), hook(quick, "/cancel")}},
		entry{"id": "d", "name": "d", "kind": "k", "on_start": hook(quick, "/start"), "dependencies": []any{map[string]any{"id": "c", "requires_success": true}}})
	r.await(t, graph["p"].ID, task.Running)
	patch(r, graph["p"].ID, map[string]any{"status": "Success"})
	r.await(t, graph["c"].ID, task.Running)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+graph["c"].ID.String(), nil, nil))
	r.await(t, graph["d"].ID, task.Failure)
	require.Equal(t, http.StatusCreated, do(t, http.MethodPost, r.url+"/task", map[string]any{"dead_end_cancel": true, "tasks": []entry{
		{"id": "p", "name": "p", "kind": "dead end", "on_start": hook(quick, "/start")},
		{"id": "c", "name": "c", "kind": "dead end", "on_start": hook(quick, "/start"), "dependencies": []any{map[string]any{"id": "p", "requires_success": true}}},
	}}, nil))
	exec("select taskrunner.cancel_task(id) from taskrunner.task where kind = 'dead end' and name = 'c'")
	r.await(t, slow, task.Failure)
	r.await(t, refused, task.Failure)
	m.await(r, "tasks_canceled_dead_end_total", "webhook_circuits_open loop=deliver", "deliveries_by_status status=Failed",
		"dead_letters_total trigger=end", "dead_letters_total trigger=cancel", "dead_letters_total trigger=start")
	require.Equal(t, http.StatusAccepted, do(t, http.MethodPost, r.url+"/deliveries/replay", map[string]any{"status": "Failed", "task_id": graph["p"].ID}, nil))

	// What is held: by a rule, by a host, by people; calls under way.
	rules := []any{map[string]any{"type": "Concurency", "max_concurency": 1, "matcher": map[string]any{"status": "Running", "kind": "one", "fields": []string{}}}}
	running := one(r, entry{"kind": "one", "rules": rules})
	r.await(t, running, task.Running)
	one(r, entry{"kind": "one", "rules": rules})
	one(r, entry{"dependencies": []any{map[string]any{"task_id": running.String(), "requires_success": true}}})
	paused := one(r, entry{"run_at": time.Now().Add(time.Hour)})
	require.Equal(t, http.StatusOK, do(t, http.MethodPatch, r.url+"/task/pause/"+paused.String(), nil, nil))
	for range 5 {
		one(r, entry{"on_start": hook(deaf, "/start"), "retry": map[string]any{"max_attempts": 100, "initial_delay_secs": 0.01}})
	}
	stopped := one(r, entry{"on_start": hook(quick, "/start"), "on_cancel": []any{hook(held["/cancel"].receiver, "/cancel")}})
	r.await(t, stopped, task.Running)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+stopped.String(), nil, nil))
	held["/cancel"].awaitCalls(t, "/cancel", 1)
	lost := one(r, entry{"on_start": hook(held["/start"].receiver, "/start")})
	held["/start"].awaitCalls(t, "/start", 1)
	m.await(r, "tasks_parked reason=rule", "tasks_parked reason=host", "tasks_by_status status=Waiting", "tasks_by_status status=Paused",
		"tasks_by_status status=Claimed", "tasks_by_status status=Running", "running_tasks_by_kind kind=one", "webhooks_in_flight phase=start",
		"webhooks_in_flight phase=cancel", "deliveries_by_status status=Sending", "deliveries_by_status trigger=cancel", "deliveries_by_status trigger=start")

	hears.Store(true)
	m.await(r, "webhook_circuit_state_transitions_total to_state=closed") // before another replica makes the calls

	// A claim goes stale while its call is open; when the task's turn comes again, the call has been delivered after all.
	exec("update taskrunner.task set run_at = now() + interval '1 hour' where id = $1", lost)
	exec("update taskrunner_private.active_task set claimed_at = now() - interval '1 hour', due_at = now() where task_id = $1", lost)
	r.await(t, lost, task.Pending)
	held["/start"].answer("/start", 1, http.StatusOK)
	r.awaitDelivery(t, lost, "Start", "Delivered")
	exec("update taskrunner.task set run_at = now() where id = $1", lost)
	m.await(r, "webhook_idempotent_skips_total trigger=start")

	// The leases of deliveries run out while their first calls are open. Whoever has the newer lease delivers; it still sends when the
	// first call of one fails, and has delivered when those of the others do.
	failing := one(r, entry{"on_failure": []any{hook(held["/failure"].receiver, "/failure")}})
	ended := one(r, entry{"on_success": []any{hook(held["/success"].receiver, "/success"), hook(held["/both"].receiver, "/both")}})
	r.await(t, failing, task.Running)
	r.await(t, ended, task.Running)
	patch(r, failing, map[string]any{"status": "Failure", "failure_reason": "no"})
	patch(r, ended, map[string]any{"status": "Success"})
	paths := []string{"/failure", "/success", "/both", "/cancel"}
	for _, path := range paths {
		held[path].awaitCalls(t, path, 1)
	}
	m.await(r, "webhooks_in_flight phase=end")
	exec("update taskrunner_private.due_delivery set leased_until = now() - interval '1 second' where leased_until is not null")
	for _, path := range paths {
		require.Eventually(t, func() bool { return len(held[path].got(path)) >= 2 }, patience, 5*time.Millisecond, path)
	}
	held["/both"].answer("/both", 1, http.StatusServiceUnavailable)
	m.await(r, "webhook_idempotent_conflicts_total")
	for _, path := range paths {
		held[path].answer(path, 2, http.StatusOK)
	}
	r.awaitDelivery(t, failing, "End", "Delivered")
	r.awaitDelivery(t, stopped, "Cancel", "Delivered")
	require.Eventually(t, func() bool {
		for _, d := range r.deliveries(t, ended) {
			if d.Trigger == "End" && d.Status != "Delivered" {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond)
	for _, path := range []string{"/failure", "/success", "/cancel"} {
		held[path].answer(path, 1, http.StatusServiceUnavailable)
	}
	m.await(r, "webhook_idempotent_skips_total trigger=end_failure", "webhook_idempotent_skips_total trigger=end_success",
		"webhook_idempotent_skips_total trigger=cancel")

	// Somebody holds a task: its counters cannot be written at once.
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from taskrunner.task where id = $1 for update", running)
	require.NoError(t, err)
	var requests sync.WaitGroup
	requests.Go(func() { send(client, http.MethodPut, r.url+"/task/"+running.String(), `{"new_success": 1}`) })
	m.await(r, "batch_update_failures_total")
	require.NoError(t, tx.Rollback(t.Context()))
	requests.Wait()

	// Who may not.
	guarded := start("--auth-public-metrics=1", fmt.Sprintf("--auth-tokens=read:read:%x", sha256.Sum256([]byte("r"))))
	require.Equal(t, http.StatusUnauthorized, do(t, http.MethodGet, guarded.url+"/batches", nil, nil))
	status, _ := guarded.as(t, "r", http.MethodPost, "/task", []entry{})
	require.Equal(t, http.StatusForbidden, status)
	m.read(guarded)
	guarded.stop()

	// A small pool: one request has the connection, the next waits for it in vain, a third is too many.
	dsn := db.Login(t, "taskrunner_service")
	small := startReplicaAs(t, dsn, append(slices.Clone(flags), "--pool-max-size=1", "--pool-min-idle=0", "--pool-timeout-secs=1",
		"--pool-acquire-retries=1", "--pool-max-in-flight=2", "--circuit-breaker-failure-threshold=2", "--circuit-breaker-recovery-timeout-secs=1")...)
	tx, err = db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table taskrunner.batch in access exclusive mode")
	require.NoError(t, err)
	ctx, enough := context.WithCancel(t.Context())
	for range 3 {
		requests.Go(func() {
			for ctx.Err() == nil {
				send(client, http.MethodGet, small.url+"/batches", "")
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	m.await(small, "requests_in_flight", "pool_exhausted_total", "requests_shed_total reason=in_flight")
	enough()
	require.NoError(t, tx.Rollback(t.Context()))
	requests.Wait()
	m.await(small, "slow_queries_total query=ListBatches")

	// The database goes away and comes back.
	user := userOf(t, dsn)
	exec("alter role " + user + " nologin")
	exec("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", user)
	ctx, enough = context.WithCancel(t.Context())
	requests.Go(func() {
		for ctx.Err() == nil {
			send(client, http.MethodGet, small.url+"/task/"+running.String(), "")
			time.Sleep(10 * time.Millisecond)
		}
	})
	m.await(small, "circuit_breaker_state_transitions_total to_state=open", "circuit_breaker_rejections_total", "requests_shed_total reason=database",
		"circuit_breaker_state_transitions_total to_state=half_open")
	exec("alter role " + user + " login")
	m.await(small, "circuit_breaker_state_transitions_total to_state=closed",
		"listener_reconnects_total", "listener_connected")
	enough()
	requests.Wait()
	small.stop()

	// What has ended goes, until nobody may remove it.
	tidy := start("--retention-enabled=1", "--retention-days=0", "--retention-cleanup-interval-secs=1")
	m.await(tidy, "retention_tasks_cleaned_total", "retention_cleanup_runs_total outcome=success")
	exec("revoke execute on function taskrunner_private.prune(integer, integer, jsonb) from taskrunner_service")
	m.await(tidy, "retention_cleanup_runs_total outcome=error")

	var known []string
	for line := range strings.Lines(strings.TrimSpace(contractMetrics)) {
		fields := strings.Fields(line)
		kind, name := fields[0], fields[1]
		known = append(known, name)
		require.Equal(t, kind, m.types[name], name)
		wanted := []string{name}
		if len(fields) > 2 && fields[2] != "-" {
			for _, l := range strings.Split(fields[2], ",") {
				key, values, _ := strings.Cut(l, "=")
				for _, value := range strings.Split(values, "|") {
					if value != "" {
						wanted = append(wanted, name+" "+key+"="+value)
					}
				}
			}
		}
		if len(fields) > 3 {
			require.Equal(t, fields[3:], m.les[name], name)
		}
		m.await(r, wanted...)
	}
	for name := range m.types {
		if !regexp.MustCompile(`^(go|process|promhttp)_`).MatchString(name) {
			require.Contains(t, known, name, "beyond the table")
		}
	}
	for _, change := range []string{"from_status=(new)", "from_status=Waiting", "from_status=Pending", "from_status=Claimed", "from_status=Running", "to_status=Success", "to_status=Paused"} {
		require.True(t, m.moved["task_status_transitions_total "+change], change)
	}
}

// refuse turns every call away, for now.
func refuse(w http.ResponseWriter, _ *http.Request, _ call) {
	w.WriteHeader(http.StatusServiceUnavailable)
}
