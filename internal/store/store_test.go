package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// testBundle is a database, and a store that works in it as a login that has the role taskrunner_service and no other.
type testBundle struct {
	*store.Store
	db      *testdb.DB
	dsn     string
	replica uuid.UUID

	mu    sync.Mutex
	moves []task.Transition
}

// moves keeps the status changes.
type moves struct {
	store.Unobserved
	b *testBundle
}

func (m moves) Counted(c task.Counts) {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	m.b.moves = append(m.b.moves, c.Transitions...)
}

func setup(t *testing.T, change ...func(*store.Options)) *testBundle {
	t.Helper()
	b := &testBundle{db: testdb.New(t), replica: uuid.New()}
	b.dsn = b.db.Login(t, "taskrunner_service")
	o := store.Options{
		MaxConns:           4,
		PreparedStatements: true,
		AcquireTimeout:     20 * time.Second,
		AcquireRetries:     1,
		Log:                slog.New(slog.DiscardHandler),
	}
	o.Observer = moves{b: b}
	for _, f := range change {
		f(&o)
	}
	b.Store = b.open(t, o)
	return b
}

func (b *testBundle) open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), b.dsn, o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// transitions returns what was counted since the last call, as "from to kind n".
func (b *testBundle) transitions() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []string{}
	for _, m := range b.moves {
		list = append(list, fmt.Sprint(m.From, " ", m.To, " ", m.Kind, " ", m.Count))
	}
	b.moves = nil
	return list
}

// webhookAction is an action of a request.
func webhookAction(path string) map[string]any {
	return map[string]any{"kind": "Webhook", "params": map[string]any{"url": "https://jobs.example.com/" + path, "verb": "Post"}}
}

// entry is a task of a request; parents are local names whose success it requires.
func entry(id string, parents ...string) map[string]any {
	dependencies := []any{}
	for _, p := range parents {
		dependencies = append(dependencies, map[string]any{"id": p, "requires_success": true})
	}
	return map[string]any{"id": id, "name": id, "kind": "etl", "on_start": webhookAction(id), "dependencies": dependencies}
}

// submit creates tasks and returns them.
func (b *testBundle) submit(t *testing.T, entries ...map[string]any) []task.Task {
	t.Helper()
	body, err := json.Marshal(entries)
	require.NoError(t, err)
	tasks, err := b.Submit(t.Context(), uuid.New(), body)
	require.NoError(t, err)
	return tasks
}

// claim claims all ready tasks.
func (b *testBundle) claim(t *testing.T) []task.Claim {
	t.Helper()
	claims, _, err := b.ClaimTasks(t.Context(), b.replica, 100, 30*time.Second, nil, true, task.Rooms{})
	require.NoError(t, err)
	return claims
}

// start brings all ready tasks to Running.
func (b *testBundle) start(t *testing.T) []task.Claim {
	t.Helper()
	claims := b.claim(t)
	tries := make([]task.StartTry, 0, len(claims))
	for _, c := range claims {
		tries = append(tries, task.StartTry{Claim: c, Try: okTry()})
	}
	_, startErr := b.StartTasks(t.Context(), tries)
	require.NoError(t, startErr)
	return claims
}

func okTry() task.Try {
	code := int32(204)
	return task.Try{At: time.Now(), Latency: 20 * time.Millisecond, StatusCode: &code, Response: "fine"}
}

func (b *testBundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (b *testBundle) scan(t *testing.T, dst any, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), sql, args...).Scan(dst))
}

// requireCode wants a *task.Error of this code and returns it.
func requireCode(t *testing.T, code task.Code, err error) *task.Error {
	t.Helper()
	var e *task.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%v", err)
	return e
}

func ptr[T any](v T) *T { return &v }

func TestOpen(t *testing.T) {
	t.Parallel()
	good := store.Options{MaxConns: 2, MinConns: 1, AcquireTimeout: time.Second}
	for name, change := range map[string]func(*store.Options){
		"no connections":   func(o *store.Options) { o.MaxConns = 0 },
		"min above max":    func(o *store.Options) { o.MinConns = 3 },
		"negative min":     func(o *store.Options) { o.MinConns = -1 },
		"no time":          func(o *store.Options) { o.AcquireTimeout = 0 },
		"negative retries": func(o *store.Options) { o.AcquireRetries = -1 },
		"negative time":    func(o *store.Options) { o.ReadTimeout = -1 },
		"too little time":  func(o *store.Options) { o.ReadTimeout = 999 * time.Microsecond },
	} {
		o := good
		change(&o)
		_, err := store.Open(t.Context(), "postgres://localhost/x", o)
		require.Error(t, err, name)
	}
	_, err := store.Open(t.Context(), "postgres://user:hushhush@local host/x", good)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hushhush")
}

func TestPingAndStat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Ping(t.Context()))
	size, idle := b.Stat()
	require.Equal(t, 1, size)
	require.Equal(t, 1, idle)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	b := &testBundle{dsn: "postgres://nobody@127.0.0.1:1/nothing"}
	s := b.open(t, store.Options{MaxConns: 1, AcquireTimeout: time.Second, AcquireRetries: 2})
	requireCode(t, task.CodeUnavailable, s.Ping(t.Context()))
	_, err := s.Task(t.Context(), uuid.New())
	e := requireCode(t, task.CodeUnavailable, err)
	require.NotErrorIs(t, err, store.ErrPoolExhausted)
	require.NotContains(t, e.Message, "127.0.0.1")
	_, err = s.Pulse(t.Context(), task.Pulse{Replica: uuid.New()})
	requireCode(t, task.CodeUnavailable, err)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Task(canceled, uuid.New())
	require.ErrorIs(t, err, context.Canceled)
}

// A pool without a free connection says so after its time, and a pulse passes it by.
func TestPoolExhausted(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *store.Options) { o.MaxConns, o.AcquireTimeout, o.AcquireRetries = 1, 2*time.Second, 2 })
	created := b.submit(t, entry("a"))[0]
	id := created.ID
	holder := b.db.Connect(t)
	_, err := holder.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "lock table taskrunner.link in access exclusive mode")
	require.NoError(t, err)

	read := make(chan error, 1)
	go func() {
		_, err := b.Graph(context.Background(), *created.BatchID)
		read <- err
	}()
	b.waitForLock(t)
	_, err = b.Task(t.Context(), id)
	requireCode(t, task.CodeUnavailable, err)
	require.ErrorIs(t, err, store.ErrPoolExhausted)
	_, err = b.Pulse(t.Context(), task.Pulse{Replica: b.replica})
	require.NoError(t, err)

	_, err = holder.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.NoError(t, <-read)
}

// What waits for a task that somebody holds keeps no connection meanwhile, is told so, or goes through when it is free.
func TestHeldTask(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *store.Options) { o.MaxConns = 1 })
	id := b.submit(t, entry("a"))[0].ID
	holder := b.db.Connect(t)
	_, err := holder.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select from taskrunner.task where id = $1 for update", id)
	require.NoError(t, err)

	_, startErr := b.StartTasks(t.Context(), []task.StartTry{{Claim: task.Claim{TaskID: id, Attempt: 1}}})
	requireCode(t, task.CodeBusy, startErr)
	canceled := make(chan error, 1)
	go func() {
		_, err := b.Cancel(context.Background(), id)
		canceled <- err
	}()
	b.waitForLock(t)
	_, err = b.Task(t.Context(), id)
	require.NoError(t, err, "the only connection is not kept")
	_, err = holder.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.NoError(t, <-canceled)
}

// waitForLock waits until some connection of the database waits for a lock.
func (b *testBundle) waitForLock(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		b.scan(t, &n, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
		return n > 0
	}, 20*time.Second, 10*time.Millisecond)
}

// A caller that gives up while its query runs does not cost the connection.
func TestLinger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := *b.submit(t, entry("a"))[0].BatchID
	holder := b.db.Connect(t)
	_, err := holder.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "lock table taskrunner.batch in access exclusive mode")
	require.NoError(t, err)

	ctx, giveUp := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Batch(ctx, batch) // a query without a lock_timeout
		done <- err
	}()
	b.waitForLock(t)
	giveUp()
	_, err = holder.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.NoError(t, <-done)
	_, err = b.Batch(t.Context(), batch)
	require.NoError(t, err)
}
