package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// hold locks a task in an open transaction, as somebody at work in psql would; what it returns ends the transaction.
func hold(t *testing.T, db *testdb.DB, id fmt.Stringer) (release func()) {
	t.Helper()
	conn := db.Connect(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "update taskrunner.task set priority = priority + 1 where id = $1", id.String())
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Commit(t.Context())) }
}

// A task that somebody holds keeps neither the results of other tasks from being written nor itself for ever.
func TestHeldTaskDelaysNoOther(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	answer := make(chan struct{})
	hooks := newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, c call) {
		if c.path == "/held" {
			<-answer
		}
	})
	held := r.submit(t, entry{"id": "held", "name": "held", "kind": "k", "on_start": hooks.hook("/held")})["held"]
	hooks.awaitCalls(t, "/held", 1)
	release := hold(t, db, held.ID)
	close(answer)

	var entries []entry
	for i := range 30 {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "on_start": hooks.hook("/free")})
	}
	for _, created := range r.submit(t, entries...) {
		r.await(t, created.ID, task.Running)
	}
	require.Equal(t, task.Claimed, r.task(t, held.ID).Status)
	release()
	r.await(t, held.ID, task.Running)
	hooks.awaitCalls(t, "/held", 1)
	hooks.awaitCalls(t, "/free", 30)
}

// Requests that wait for a task which somebody holds keep neither the API nor the loops from their work; they go through
// when it is free.
func TestRequestsForAHeldTask(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--pool-max-size=3", "--pool-min-idle=0", "--pool-timeout-secs=5")
	hooks := newReceiver(t, nil)
	held := r.submit(t, entry{"id": "held", "name": "held", "kind": "k", "on_start": hooks.hook("/held")})["held"]
	r.await(t, held.ID, task.Running)
	release := hold(t, db, held.ID)

	const n = 12
	var accepted atomic.Int64
	statuses := make(chan int, n)
	for range n {
		hooks.work.Go(func() {
			status := do(t, http.MethodPut, r.url+"/task/"+held.ID.String(), map[string]any{"new_success": 1}, nil)
			if status == http.StatusAccepted {
				accepted.Add(1)
			}
			statuses <- status
		})
	}
	require.Eventually(t, func() bool {
		var waiting int
		err := db.Pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting > 0
	}, patience, 5*time.Millisecond)

	free := r.submit(t, entry{"id": "free", "name": "free", "kind": "k", "on_start": hooks.hook("/free")})["free"]
	r.await(t, free.ID, task.Running)
	release()
	for range n {
		require.Equal(t, http.StatusAccepted, <-statuses)
	}
	require.Equal(t, accepted.Load(), r.task(t, held.ID).Success)
}

// A link that needs a new order holds the graph lock to the end of its transaction. Whoever goes idle in it is
// disconnected, so that the others go on.
func TestIdleReordering(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	hooks := newReceiver(t, nil)
	tasks := r.submit(t,
		entry{"id": "running", "name": "running", "kind": "k", "on_start": hooks.hook("/running")},
		entry{"id": "low", "name": "low", "kind": "k", "on_start": hooks.hook("/low"), "dependencies": needs("running")},
		entry{"id": "high", "name": "high", "kind": "k", "on_start": hooks.hook("/high"), "dependencies": needs("running")},
	)
	r.await(t, tasks["running"].ID, task.Running)
	producer := testdb.ConnectTo(t, db.Login(t, "taskrunner_producer"))
	tx, err := producer.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into taskrunner.link values ($1, $2, false)", tasks["high"].ID, tasks["low"].ID)
	require.NoError(t, err)

	// Progress of one task waits for nothing but its row; other reports need the graph.
	require.Equal(t, http.StatusAccepted, do(t, http.MethodPut, r.url+"/task/"+tasks["running"].ID.String(), map[string]any{"new_success": 1}, nil))
	require.Eventually(t, func() bool {
		return do(t, http.MethodPatch, r.url+"/task/"+tasks["running"].ID.String(), map[string]any{"new_success": 1}, nil) == http.StatusOK
	}, patience, 10*time.Millisecond)
	require.Error(t, tx.Commit(t.Context()), "the connection is gone, and the link with it")
	var links int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.link where parent_id = $1", tasks["high"].ID).Scan(&links))
	require.Zero(t, links)
}
