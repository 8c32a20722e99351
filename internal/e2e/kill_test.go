package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/devpg"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// ledger is what clients know of a task's counters and end.
type ledger struct {
	acknowledged, unknown atomic.Int64 // of PUT and PATCH: counts that were accepted, and those without an answer
	ends, lostEnds        atomic.Int64 // PATCH with status: 200, and those without an answer
}

// reporters are clients that PUT and PATCH at random until stop is closed.
type reporters struct {
	tasks   []uuid.UUID
	ledgers []ledger
	answers atomic.Int64
	stop    chan struct{}
	work    sync.WaitGroup
}

// report sends reports until stop is closed or the process dies. url gives the present address of the service.
func (r *reporters) report(t *testing.T, url func() string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		i := rand.IntN(len(r.tasks))
		l := &r.ledgers[i]
		n := rand.Int64N(3) + 1
		method, body, ending := http.MethodPut, fmt.Sprintf(`{"new_success": %d}`, n), false
		switch rand.IntN(40) {
		case 0:
			method, body, ending = http.MethodPatch, fmt.Sprintf(`{"status": "Success", "new_success": %d}`, n), true
		case 1, 2, 3, 4, 5, 6, 7:
			method, body = http.MethodPatch, fmt.Sprintf(`{"new_success": %d, "metadata": {"n": %[1]d}}`, n)
		}
		switch status := send(client, method, url()+"/task/"+r.tasks[i].String(), body); status {
		case http.StatusOK, http.StatusAccepted:
			r.answers.Add(1)
			l.acknowledged.Add(n)
			if ending {
				l.ends.Add(1)
			}
		case 0, http.StatusServiceUnavailable:
			l.unknown.Add(n)
			if ending {
				l.lostEnds.Add(1)
			}
			time.Sleep(5 * time.Millisecond)
		case http.StatusConflict: // PATCH of an ended task
		default:
			t.Errorf("%s %s: %d", method, body, status)
			return
		}
	}
}

// send returns the status of the answer, 0 without one.
func send(client *http.Client, method, url, body string) int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return -1
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

// check compares what is in the database with what the clients know: nothing that was acknowledged is lost, and nothing is
// there that nobody sent.
func (r *reporters) check(t *testing.T, service *replica) {
	t.Helper()
	lost := int64(0)
	for i, id := range r.tasks {
		l := &r.ledgers[i]
		var got task.Task
		// For some seconds after a loss it refuses requests without asking the database, and losses may still be on their way.
		require.Eventually(t, func() bool {
			var answer json.RawMessage
			return do(t, http.MethodGet, service.url+"/task/"+id.String(), nil, &answer) == http.StatusOK && json.Unmarshal(answer, &got) == nil
		}, patience, time.Millisecond)
		require.GreaterOrEqual(t, got.Success, l.acknowledged.Load(), "task %d: an acknowledged report is lost", i)
		require.LessOrEqual(t, got.Success, l.acknowledged.Load()+l.unknown.Load(), "task %d: a report was written twice", i)
		require.LessOrEqual(t, l.ends.Load(), int64(1), "task %d ended more than once", i)
		if l.ends.Load() == 1 {
			require.Equal(t, task.Success, got.Status, "task %d: its acknowledged end is lost", i)
		} else if l.lostEnds.Load() == 0 {
			require.Equal(t, task.Running, got.Status, "task %d", i)
		}
		lost += l.unknown.Load()
	}
	require.Positive(t, lost, "nobody was killed at work")
}

// running creates n tasks and waits until they run.
func (r *replica) running(t *testing.T, n int) (ids []uuid.UUID) {
	t.Helper()
	hooks := newReceiver(t, nil)
	var entries []entry
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": hooks.hook("/start")})
	}
	for _, created := range r.submit(t, entries...) {
		ids = append(ids, created.ID)
	}
	for _, id := range ids {
		r.await(t, id, task.Running)
	}
	return ids
}

// kill -9 of the service while many clients report: what was answered with 202 or 200 is in the database.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	const clients, kills = 32, 3
	db := newDB(t)
	var current atomic.Pointer[process]
	current.Store(startProcess(t, db))
	ids := current.Load().running(t, 60)
	r := &reporters{tasks: ids, ledgers: make([]ledger, len(ids)), stop: make(chan struct{})}
	for range clients {
		r.work.Go(func() { r.report(t, func() string { return current.Load().url }) })
	}
	for range kills {
		had := r.answers.Load()
		require.Eventually(t, func() bool { return r.answers.Load() > had+300 }, 2*patience, time.Millisecond)
		require.NoError(t, current.Load().cmd.Process.Kill())
		<-current.Load().exited
		current.Store(startProcess(t, db))
	}
	close(r.stop)
	r.work.Wait()
	r.check(t, &current.Load().replica)
}

// The same when the server ends all its connections in the middle, as it does when one of its processes is killed.
func TestLostServerLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	service := startProcess(t, db)
	ids := service.running(t, 60)
	r := &reporters{tasks: ids, ledgers: make([]ledger, len(ids)), stop: make(chan struct{})}
	for range 32 {
		r.work.Go(func() { r.report(t, func() string { return service.url }) })
	}
	for range 10 {
		had := r.answers.Load()
		require.Eventually(t, func() bool { return r.answers.Load() > had+100 }, 2*patience, time.Millisecond)
		_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and usename <> current_user`)
		require.NoError(t, err)
	}
	close(r.stop)
	r.work.Wait()
	r.check(t, &service.replica)
}

// kill -9 of one of PostgreSQL's own processes: it ends all others and recovers from its log.
func TestCrashedServerLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	server, err := devpg.Start(t.Context(), devpg.Config{Major: os.Getenv(testdb.MajorEnv)})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	})
	dsn := server.DSN("postgres")
	service := startReplicaAs(t, dsn)
	ids := service.running(t, 40)
	r := &reporters{tasks: ids, ledgers: make([]ledger, len(ids)), stop: make(chan struct{})}
	for range 32 {
		r.work.Go(func() { r.report(t, func() string { return service.url }) })
	}
	for range 3 {
		had := r.answers.Load()
		require.Eventually(t, func() bool { return r.answers.Load() > had+100 }, 2*patience, time.Millisecond)
		witness, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		var pid int
		require.NoError(t, witness.QueryRow(t.Context(),
			"select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1").Scan(&pid))
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		// Until the server has noticed, it answers as if nothing had happened.
		require.Eventually(t, func() bool { return witness.Ping(t.Context()) != nil }, 2*patience, time.Millisecond)
	}
	close(r.stop)
	r.work.Wait()
	r.check(t, service)
	service.stop()
	var broken int
	require.NoError(t, ask(t, dsn, &broken, "select count(*) from taskrunner.check_invariants()"))
	require.Zero(t, broken)
}

// ask reads one value by a connection of its own.
func ask(t *testing.T, dsn string, value any, sql string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	return conn.QueryRow(t.Context(), sql).Scan(value)
}

// execute runs a statement on a connection of its own.
func execute(t *testing.T, dsn, sql string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), sql)
	return err
}
