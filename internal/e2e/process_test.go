package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// binary is the program's file, built once per run.
var binary = sync.OnceValues(func() ([]byte, error) { return build() })

// build builds the program with flags of go build and returns its file.
func build(flags ...string) (content []byte, err error) {
	dir, err := os.MkdirTemp("", "taskrunner-e2e-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "taskrunner")
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "github.com/taskrunner/taskrunner/cmd/taskrunner")...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return os.ReadFile(path)
}

// process is a replica in a process of its own.
type process struct {
	replica
	cmd    *exec.Cmd
	exited chan error // how it ended; read it once

	mu     sync.Mutex
	logged []string
}

// log is what it has logged, by lines.
func (p *process) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.logged)
}

// runnable returns a command of a program, with the database in its environment. Nobody may fork while the program's file is written: a
// child has a copy of every open file until it runs its own program, and one that is open for writing cannot be run.
func runnable(t *testing.T, content []byte, dsn string, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "taskrunner")
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, content, 0o700)
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+dsn)
	return cmd
}

// startProcess runs "taskrunner serve" with the role of the service.
func startProcess(t *testing.T, db *testdb.DB, flags ...string) *process {
	t.Helper()
	return startProcessAs(t, db.Login(t, "taskrunner_service"), flags...)
}

// startProcessAs runs "taskrunner serve" with a DSN, on a port that was free a moment ago, so that handles lead to it. It is killed
// when the test ends, if it has not ended by then.
func startProcessAs(t *testing.T, dsn string, flags ...string) *process {
	t.Helper()
	content, err := binary()
	require.NoError(t, err)
	return startProgram(t, content, dsn, flags...)
}

// startProgram is startProcessAs for another build of the program.
func startProgram(t *testing.T, content []byte, dsn string, flags ...string) *process {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	p := &process{exited: make(chan error, 1)}
	p.cmd = runnable(t, content, dsn, append([]string{"serve", "--ssrf-allow=127.0.0.1"}, flags...)...)
	p.cmd.Env = append(p.cmd.Env, fmt.Sprintf("PORT=%d", port), fmt.Sprintf("HOST_URL=http://127.0.0.1:%d", port))
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			p.logged = append(p.logged, lines.Text())
			p.mu.Unlock()
			var line struct{ Msg, Level, Address string }
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Level == "WARN" || line.Level == "ERROR" {
				fmt.Fprintf(os.Stderr, "%s: process %d: %s\n", t.Name(), p.cmd.Process.Pid, lines.Text())
			}
			if line.Msg == "ready" {
				address <- line.Address
			}
		}
		p.exited <- p.cmd.Wait() // after the pipe is read to its end
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		for range p.exited {
		}
	})
	select {
	case a := <-address:
		p.url = "http://127.0.0.1" + a[strings.LastIndex(a, ":"):]
	case err := <-p.exited:
		t.Fatalf("the process ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the process does not start")
	}
	return p
}

// holding answers calls only once they are released; a released one is answered with 200 at once.
type holding struct {
	*receiver
	released chan struct{}
	release  func()
}

func newHolding(t *testing.T) *holding {
	t.Helper()
	h := &holding{released: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.released) })
	h.receiver = newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ call) {
		select {
		case <-h.released:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(h.release)
	return h
}

// A replica that dies of kill -9 holds its claims for no longer than the others take to miss it.
func TestKilledReplica(t *testing.T) {
	t.Parallel()
	const n = 10
	const slots = "--worker-webhook-concurrency=80" // an eighth of them for a receiver that has not answered yet
	db := newDB(t)
	victim := startProcess(t, db, slots, "--webhook-timeout-secs=60", "--worker-claim-timeout-secs=600")
	hooks := newHolding(t)
	var entries []entry
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": hooks.hook("/start")})
	}
	tasks := victim.submit(t, entries...)
	hooks.awaitCalls(t, "/start", n)
	survivor := startReplica(t, db, slots, "--worker-claim-timeout-secs=600")
	// It judges others only after it has been in contact for 5 s itself.
	require.Eventually(t, func() bool {
		var seasoned bool
		err := db.Pool.QueryRow(t.Context(), `select coalesce(max(heartbeat_at - started_at) > interval '6 seconds', false)
			from taskrunner_private.replica where version = 'test'`).Scan(&seasoned)
		require.NoError(t, err)
		return seasoned
	}, patience, 50*time.Millisecond)
	for _, created := range tasks {
		require.Equal(t, task.Claimed, survivor.task(t, created.ID).Status)
	}

	require.NoError(t, victim.cmd.Process.Kill())
	killed := time.Now()
	hooks.release()
	for _, created := range tasks {
		got := survivor.await(t, created.ID, task.Running)
		require.EqualValues(t, 1, got.Attempt)
	}
	require.Less(t, time.Since(killed), 10*time.Second)
	times := map[string]int{}
	for _, c := range hooks.awaitCalls(t, "/start", 2*n) {
		times[c.key]++
	}
	require.Len(t, times, n, "the repeated calls carry the same keys")
	for key, count := range times {
		require.Equal(t, 2, count, key)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	p := startProcess(t, db)
	hooks := newHolding(t)
	start := hooks.hook("/start")
	open := p.submit(t, entry{"id": "a", "name": "a", "kind": "k", "timeout": 3600, "on_start": start})["a"]
	hooks.awaitCalls(t, "/start", 1)

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		var answer struct{ Status, Reason string }
		status := do(t, http.MethodGet, p.url+"/ready", nil, &answer)
		return status == http.StatusServiceUnavailable && answer.Status == "not_ready" && answer.Reason == "shutting down"
	}, patience, 10*time.Millisecond)
	// While it drains it serves requests, but it claims nothing.
	later := p.submit(t, entry{"id": "b", "name": "b", "kind": "k", "timeout": 3600, "on_start": hooks.hook("/later")})["b"]
	require.Equal(t, task.Claimed, p.task(t, open.ID).Status)

	hooks.release()
	select {
	case err := <-p.exited:
		require.NoError(t, err, "exit code 0")
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
	require.Empty(t, hooks.got("/later"))
	var statuses []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select array_agg(status::text order by name) from taskrunner.task").Scan(&statuses))
	require.Equal(t, []string{"Running", "Pending"}, statuses)

	r := startReplica(t, db)
	r.await(t, later.ID, task.Running)
	hooks.awaitCalls(t, "/start", 1)
}

// A request that is open when the signal comes gets its answer, though connections are refused by then.
func TestDrainAnswersOpenRequests(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	p := startProcess(t, db)
	id := p.running(t, 1)[0]
	holder := db.Connect(t)
	_, err := holder.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select from taskrunner.task where id = $1 for update", id)
	require.NoError(t, err)
	answered := make(chan int, 1)
	go func() {
		answered <- send(client, http.MethodPatch, p.url+"/task/"+id.String(), `{"status": "Success"}`)
	}()
	require.Eventually(t, func() bool { return strings.Contains(p.metrics(t), "requests_in_flight 1\n") }, patience, 5*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { // it takes no new connections
		connection, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = connection.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, patience, 10*time.Millisecond)
	require.Empty(t, answered)
	_, err = holder.Exec(t.Context(), "commit")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, <-answered)
	require.NoError(t, <-p.exited, "exit code 0")
	var status string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select status from taskrunner.task where id = $1", id).Scan(&status))
	require.Equal(t, "Success", status)
}

// Who cannot wait for the drain sends a second signal.
func TestSecondSignalEndsTheDrain(t *testing.T) {
	t.Parallel()
	p := startProcess(t, newDB(t), "--drain-timeout-secs=600")
	hooks := newHolding(t)
	p.submit(t, entry{"id": "a", "name": "a", "kind": "k", "timeout": 3600, "on_start": hooks.hook("/start")})
	hooks.awaitCalls(t, "/start", 1)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	time.Sleep(1500 * time.Millisecond) // what comes within a second is an echo of the first
	require.Empty(t, p.exited)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.exited:
		require.ErrorContains(t, err, "signal: terminated")
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
}

// At the end of the drain timeout a call that never ends is given up. Its task is not lost: it is tried again.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	p := startProcess(t, db, "--drain-timeout-secs=1")
	hooks := newHolding(t)
	created := p.submit(t, entry{"id": "a", "name": "a", "kind": "k", "timeout": 3600, "on_start": hooks.hook("/start")})["a"]
	hooks.awaitCalls(t, "/start", 1)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.exited:
		require.NoError(t, err, "exit code 0")
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
	hooks.release()
	r := startReplica(t, db)
	r.await(t, created.ID, task.Running)
	require.Len(t, hooks.awaitCalls(t, "/start", 2), 2)
}

// Without the listener the loops poll, and it finds back by itself.
func TestLostListener(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	direct := db.Login(t, "taskrunner_service")
	r := startReplica(t, db, "--listen-database-url", direct)
	hooks := succeeding(t)
	awaitListener := func(state string) {
		require.Eventually(t, func() bool {
			var health struct{ Listener string }
			require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/health", nil, &health))
			return health.Listener == state
		}, patience, 10*time.Millisecond, "the listener is not %s", state)
	}
	awaitListener("connected")

	user := userOf(t, direct)
	_, err := db.Pool.Exec(t.Context(), "alter role "+user+" nologin")
	require.NoError(t, err)
	var ended int
	err = db.Pool.QueryRow(t.Context(), "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = $1", user).Scan(&ended)
	require.NoError(t, err)
	require.Positive(t, ended)
	awaitListener("polling")

	// By SQL, so that nothing in the process knows of it.
	var id uuid.UUID
	err = db.Pool.QueryRow(t.Context(), "select task_id from taskrunner.submit_batch($1)", []entry{
		{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start"), "on_success": []any{hooks.hook("/done")}}}).Scan(&id)
	require.NoError(t, err)
	r.await(t, id, task.Success)
	hooks.awaitCalls(t, "/done", 1)
	require.Contains(t, r.metrics(t), "listener_connected 0\n")

	_, err = db.Pool.Exec(t.Context(), "alter role "+user+" login")
	require.NoError(t, err)
	awaitListener("connected")
	require.Contains(t, r.metrics(t), "listener_reconnects_total 1\n")
}

// A crash of the server ends all connections at once. Nothing is lost by it, and no result is.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	const n = 200
	db := newDB(t)
	r := startReplica(t, db, "--worker-claim-timeout-secs=11")
	var hooks *receiver
	hooks = newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, c call) { hooks.insist(t, c) })
	var entries []entry
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": hooks.hook("/start")})
	}
	tasks := r.submit(t, entries...)
	var killed atomic.Int32
	var batch task.Batch
	require.Eventually(t, func() bool {
		if killed.Load() < 5 {
			var ended int32
			err := db.Pool.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid() and usename <> current_user`).Scan(&ended)
			require.NoError(t, err)
			killed.Add(min(ended, 1))
		}
		if do(t, http.MethodGet, r.url+"/batch/"+tasks["t0"].BatchID.String(), nil, &batch) != http.StatusOK {
			return false
		}
		return batch.StatusCounts.Success == n
	}, 2*patience, 50*time.Millisecond, "not all tasks end")
	require.Positive(t, killed.Load())
}
