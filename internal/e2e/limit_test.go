package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// workshop is a receiver that works on tasks for a moment and reports, and counts for itself on how many of each key, the path
// of on_start, it works at once. While it is frozen it does not answer; what it has not answered when the caller dies it drops.
type workshop struct {
	*receiver
	limit  int
	report func(c call)

	mu     sync.Mutex
	open   map[string]map[string]bool // tasks by key
	frozen chan struct{}              // nil, or closed when it goes on
	stuck  int                        // calls that wait for that
	faults []string
}

func newWorkshop(t *testing.T, limit int, report func(c call)) *workshop {
	t.Helper()
	w := &workshop{limit: limit, report: report, open: map[string]map[string]bool{}}
	w.receiver = newReceiver(t, w.start)
	t.Cleanup(w.goOn)
	return w
}

func (w *workshop) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = make(chan struct{})
}

func (w *workshop) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen != nil {
		close(w.frozen)
		w.frozen = nil
	}
}

// begin takes up a task. It returns what to wait for before an answer, nil when it is not frozen.
func (w *workshop) begin(c call) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[c.path] == nil {
		w.open[c.path] = map[string]bool{}
	}
	w.open[c.path][c.header.Get("X-Task-Id")] = true
	if n := len(w.open[c.path]); n > w.limit {
		w.faults = append(w.faults, fmt.Sprintf("%d tasks of %s at once: %v", n, c.path, slices.Collect(maps.Keys(w.open[c.path]))))
	}
	if w.frozen != nil {
		w.stuck++
	}
	return w.frozen
}

func (w *workshop) end(c call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open[c.path], c.header.Get("X-Task-Id"))
}

func (w *workshop) start(_ http.ResponseWriter, r *http.Request, c call) {
	if frozen := w.begin(c); frozen != nil {
		select {
		case <-frozen:
		case <-r.Context().Done():
		}
		w.mu.Lock()
		w.stuck--
		w.mu.Unlock()
		if r.Context().Err() != nil {
			w.end(c)
			return
		}
	}
	w.work.Go(func() {
		time.Sleep(30 * time.Millisecond)
		w.end(c) // before anybody can know
		w.report(c)
	})
}

func (w *workshop) awaitStuck(t *testing.T, n int) {
	t.Helper()
	require.Eventuallyf(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.stuck == n
	}, patience, 5*time.Millisecond, "no %d calls wait for an answer", n)
}

// awaitLost waits until calls of n are given up by whoever made them, and says of how many that was noticed.
func (w *workshop) awaitLost(t *testing.T, n int) (lost int) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.stuck < n
	}, patience, 5*time.Millisecond, "no call is given up")
	time.Sleep(100 * time.Millisecond) // they are not noticed at the same time
	w.mu.Lock()
	defer w.mu.Unlock()
	return n - w.stuck
}

// awaitSeasoned waits until n replicas have been in contact for long enough to judge others.
func awaitSeasoned(t *testing.T, db *testdb.DB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var seasoned int
		err := db.Pool.QueryRow(t.Context(), `select count(*) from taskrunner_private.replica
			where heartbeat_at - started_at > interval '6 seconds' and heartbeat_at > now() - interval '3 seconds'`).Scan(&seasoned)
		require.NoError(t, err)
		return seasoned == n
	}, patience, 50*time.Millisecond)
}

// busiest is which of the processes has claimed most of what is active now: who has claimed nothing would not be missed.
func busiest(t *testing.T, db *testdb.DB, processes []*process) (most int) {
	t.Helper()
	claims := make([]int, len(processes))
	for i, p := range processes {
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from taskrunner_private.active_task a
			join taskrunner_private.replica r on r.id = a.replica_id where r.name like '%:' || $1`, fmt.Sprint(p.cmd.Process.Pid)).Scan(&claims[i]))
		if claims[i] > claims[most] {
			most = i
		}
	}
	require.NotZero(t, claims[most])
	return most
}

// Replicas die of kill -9 while all slots are held by calls of theirs. The other one starts the same tasks, no slot is lost, and
// the receiver never works on more tasks of a key than the rule allows.
func TestKilledReplicasHoldNoSlots(t *testing.T) {
	t.Parallel()
	const keys, limit, perKey = 4, 2, 12
	db := newDB(t)
	start := func() *process {
		// An eighth of the slots is for a receiver that has not answered yet: of both replicas together all that the rules allow.
		return startProcess(t, db, fmt.Sprintf("--worker-webhook-concurrency=%d", 4*keys*limit), "--webhook-timeout-secs=60", "--worker-claim-timeout-secs=600")
	}
	replicas := []*process{start(), start()}
	var alive struct {
		sync.Mutex
		url string
	}
	answersAt := func(p *process) {
		alive.Lock()
		defer alive.Unlock()
		alive.url = p.url
	}
	answersAt(replicas[1])
	var hooks *workshop
	hooks = newWorkshop(t, limit, func(c call) {
		alive.Lock()
		defer alive.Unlock()
		c.handle = alive.url + c.handle[strings.Index(c.handle, "/task/"):]
		hooks.insist(t, c)
	})
	hooks.freeze()
	var entries []entry
	for i := range keys * perKey {
		name, key := fmt.Sprintf("t%d", i), fmt.Sprintf("/%d", i%keys)
		entries = append(entries, entry{
			"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": hooks.hook(key), "metadata": map[string]any{"key": key},
			"rules": []any{map[string]any{
				"type": "Concurency", "max_concurency": limit, "matcher": map[string]any{"status": "Running", "kind": "k", "fields": []string{"key"}},
			}},
		})
	}
	tasks := replicas[0].submit(t, entries...)

	lost := 0
	for round := range 2 {
		hooks.awaitStuck(t, keys*limit)
		awaitSeasoned(t, db, len(replicas))
		i := busiest(t, db, replicas)
		answersAt(replicas[1-i])
		require.NoError(t, replicas[i].cmd.Process.Kill())
		<-replicas[i].exited
		lost += hooks.awaitLost(t, keys*limit)
		before := len(hooks.got(""))
		replicas[i] = start()
		hooks.goOn()
		if round == 0 {
			// Again, when most of what the dead one held has been started by the others.
			require.Eventually(t, func() bool { return len(hooks.got("")) > before+keys*limit }, patience, 5*time.Millisecond)
			hooks.freeze()
		}
	}
	for _, created := range tasks {
		replicas[0].await(t, created.ID, task.Success)
	}
	require.Empty(t, hooks.faults)
	require.GreaterOrEqual(t, len(hooks.got("")), keys*perKey+lost, "calls of the dead were made again")
	var slots int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner_private.slot").Scan(&slots))
	require.Zero(t, slots)
}
