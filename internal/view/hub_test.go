package view_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
	"github.com/taskrunner/taskrunner/internal/view"
)

const (
	mostTasks = 1000
	patience  = 40 * time.Second
)

func TestMain(m *testing.M) { testdb.Main(m) }

// testBundle is a database with a hub that nobody tells of changes.
type testBundle struct {
	db    *testdb.DB
	store *store.Store
	hub   *view.Hub
}

// setup also requires that the hub leaves nothing watched; it waits for its goroutines by itself.
func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{db: testdb.New(t)}
	t.Cleanup(func() { b.db.AssertInvariants(t) })
	var err error
	b.store, err = store.Open(t.Context(), b.db.Login(t, "taskrunner_service"),
		store.Options{MaxConns: 4, PreparedStatements: true, AcquireTimeout: 2 * time.Second, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(b.store.Close)
	t.Cleanup(func() {
		b.hub.Close()
		require.Empty(t, b.rows(t, "select batch_id::text from taskrunner_private.watch"), "unwatched")
	})
	b.hub = view.NewHub(b.store, uuid.New(), mostTasks, slog.New(slog.DiscardHandler))
	return b
}

func (b *testBundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (b *testBundle) rows(t *testing.T, sql string) (list []string) {
	t.Helper()
	rows, err := b.db.Pool.Query(context.Background(), sql)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var row string
		require.NoError(t, rows.Scan(&row))
		list = append(list, row)
	}
	require.NoError(t, rows.Err())
	return list
}

// batch creates one of n tasks.
func (b *testBundle) batch(t *testing.T, n int) uuid.UUID {
	t.Helper()
	id := uuid.New()
	b.exec(t, "insert into taskrunner.batch (id) values ($1)", id)
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) select $1, 'task ' || n, 'k' from generate_series(1, $2) n", id, n)
	return id
}

func (b *testBundle) subscribe(t *testing.T, batch uuid.UUID) *view.Client {
	t.Helper()
	c, err := b.hub.Subscribe(t.Context(), batch)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

type states struct {
	Revision string
	Index    []int
	Priority []int
}

// next waits for what there is to tell.
func next(t *testing.T, c *view.Client) (names []string, s states, more bool) {
	t.Helper()
	for more = true; more && len(names) == 0; {
		select {
		case <-c.Ready():
		case <-time.After(patience):
			t.Fatal("nothing is told")
		}
		var events []view.Event
		events, more = c.Take()
		for _, e := range events {
			names = append(names, e.Name)
			require.NoError(t, json.Unmarshal(e.Data, &s))
		}
	}
	return names, s, more
}

// awaitPriority takes what is told until the first task has a priority, and returns how often something was told.
func awaitPriority(t *testing.T, c *view.Client, priority int) (told int) {
	t.Helper()
	for {
		_, s, more := next(t, c)
		require.True(t, more)
		told++
		if i := slices.Index(s.Index, 0); i >= 0 && s.Priority[i] == priority {
			return told
		}
	}
}

// As many as may look at a batch, of whom one never takes anything: the others are told all the same, and he is told the last state
// of each task when he takes it. One more is refused.
func TestManyClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := b.batch(t, mostTasks)
	lazy := b.subscribe(t, batch)
	clients := []*view.Client{}
	for range view.MostClients - 1 {
		clients = append(clients, b.subscribe(t, batch))
	}
	_, err := b.hub.Subscribe(t.Context(), batch)
	require.ErrorIs(t, err, view.ErrFull)
	_, err = b.hub.Subscribe(t.Context(), b.batch(t, 1))
	require.ErrorIs(t, err, view.ErrFull)

	_, _, _ = next(t, lazy) // all states
	for priority := 1; priority <= 3; priority++ {
		b.exec(t, "update taskrunner.task set priority = $1 where batch_id = $2", priority, batch)
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() { awaitPriority(t, c, priority) })
		}
		all.Wait()
	}
	names, s, _ := next(t, lazy)
	require.Equal(t, []string{"states"}, names)
	require.Len(t, s.Index, mostTasks)
	require.Equal(t, 3, s.Priority[500])

	clients[0].Close()
	clients[0].Close()
	b.subscribe(t, batch) // there is room again
}

func TestSubscribeFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var known *task.Error
	_, err := b.hub.Subscribe(t.Context(), uuid.New())
	require.ErrorAs(t, err, &known)
	require.Equal(t, task.CodeUnknown, known.Code)
	large := b.batch(t, mostTasks+1)
	_, err = b.hub.Subscribe(t.Context(), large)
	require.ErrorAs(t, err, &known)
	require.Equal(t, task.CodeTooLarge, known.Code)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	batch := b.batch(t, 1)
	_, err = b.hub.Subscribe(gone, batch)
	require.ErrorIs(t, err, context.Canceled)
	c := b.subscribe(t, batch)
	b.hub.Close()
	_, err = b.hub.Subscribe(t.Context(), batch)
	require.ErrorIs(t, err, view.ErrClosed)
	for more := true; more; {
		<-c.Ready()
		_, more = c.Take()
	}
}

// A batch that grows too large, or is removed, ends its streams; others go on.
func TestBatchThatEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large, removed, other := b.batch(t, mostTasks), b.batch(t, 0), b.batch(t, 1)
	grown, gone, stays := b.subscribe(t, large), b.subscribe(t, removed), b.subscribe(t, other)
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) values ($1, 'one too many', 'k')", large)
	b.exec(t, "delete from taskrunner.batch where id = $1", removed)
	for c, last := range map[*view.Client]string{grown: "graph", gone: "gone"} {
		names, _, more := next(t, c)
		for more {
			names, _, more = next(t, c)
		}
		require.Equal(t, []string{last}, names)
	}
	b.exec(t, "update taskrunner.task set priority = 5 where batch_id = $1", other)
	awaitPriority(t, stays, 5)
}

// Links that come between old tasks are found, also when nothing else has changed.
func TestNewLinksAreFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := b.batch(t, 2)
	c := b.subscribe(t, batch)
	_, before, _ := next(t, c)
	b.exec(t, `insert into taskrunner.link (parent_id, child_id)
		select min(id::text)::uuid, max(id::text)::uuid from taskrunner.task where batch_id = $1`, batch)
	names, s, _ := next(t, c)
	for slices.Equal(names, []string{"states"}) { // the child waits now
		names, s, _ = next(t, c)
	}
	require.Equal(t, []string{"graph"}, names)
	require.NotEqual(t, before.Revision, s.Revision)
	g, err := b.store.ViewGraph(t.Context(), batch, mostTasks)
	require.NoError(t, err)
	require.Equal(t, g.Revision.String(), s.Revision)
}

// While the database is away streams stay open, and go on when it is back. Connections that are killed are nothing else.
func TestDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := b.batch(t, 3)
	c := b.subscribe(t, batch)
	_, _, _ = next(t, c)
	u, err := url.Parse(b.db.DSN)
	require.NoError(t, err)
	u.Path = "/postgres"
	admin := testdb.ConnectTo(t, u.String())
	allow := func(allowed string) {
		_, err := admin.Exec(t.Context(), "alter database "+b.db.Name+" allow_connections "+allowed)
		require.NoError(t, err)
		_, err = admin.Exec(t.Context(), "select pg_terminate_backend(pid, 20000) from pg_stat_activity where datname = $1", b.db.Name)
		require.NoError(t, err)
	}
	allow("false")
	_, err = b.hub.Subscribe(t.Context(), uuid.New())
	require.Error(t, err)
	allow("true")
	b.db.Pool.Reset()
	b.exec(t, "update taskrunner.task set priority = 5 where batch_id = $1", batch)
	awaitPriority(t, c, 5)
}

// With a listener everything that changes is told as well, while one batch after the other is looked at by many who come and go.
func TestClientsComeAndGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener := notify.New(b.db.DSN, notify.Options{})
	changed := listener.Subscribe(notify.Watch)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = listener.Run(ctx) })
	running.Go(func() { b.hub.Run(ctx, changed) })
	defer running.Wait()
	defer cancel()

	batches := []uuid.UUID{b.batch(t, 5), b.batch(t, 50), b.batch(t, 500)}
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range 20 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				c, err := b.hub.Subscribe(ctx, batches[(i+n)%3])
				if err != nil {
					t.Error(err)
					return
				}
				for range n % 3 {
					select {
					case <-c.Ready():
						c.Take()
					case <-time.After(50 * time.Millisecond):
					}
				}
				c.Close()
			}
		})
	}
	watching := b.subscribe(t, batches[1])
	for priority := 1; priority <= 20; priority++ {
		for _, batch := range batches {
			b.exec(t, "update taskrunner.task set priority = $1 where batch_id = $2", priority, batch)
		}
		awaitPriority(t, watching, priority)
	}
	close(stop)
	all.Wait()
}
