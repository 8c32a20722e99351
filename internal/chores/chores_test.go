package chores_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/chores"
	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { testdb.Main(m) }

// testStore is the real one, with a switch for faults and a place where a chore can be held up.
type testStore struct {
	*store.Store
	broken atomic.Bool
	hold   atomic.Bool        // the next sweep of active tasks
	sweeps chan chan struct{} // what the sweep that is held waits for
}

var errBroken = errors.New("broken on purpose")

func (s *testStore) Pulse(ctx context.Context, p task.Pulse) (task.Agenda, error) {
	if s.broken.Load() {
		return task.Agenda{}, errBroken
	}
	return s.Store.Pulse(ctx, p)
}

func (s *testStore) SweepActive(ctx context.Context, limit int, claimTimeout time.Duration) (int, error) {
	if s.hold.CompareAndSwap(true, false) {
		release := make(chan struct{})
		s.sweeps <- release
		<-release
	}
	return s.Store.SweepActive(ctx, limit, claimTimeout)
}

type bundle struct {
	db       *testdb.DB
	store    *testStore
	replica  uuid.UUID
	chores   *chores.Chores
	started  chan struct{} // the start loop was woken
	notified notify.Signal // asks for a pulse
	freed    notify.Signal // a limit may have room
	stop     context.CancelFunc
	stopWork context.CancelFunc
}

func setup(t *testing.T, change func(*testStore)) *bundle {
	t.Helper()
	return setupWith(t, change, func(*chores.Chores) {})
}

func setupWith(t *testing.T, change func(*testStore), changeChores func(*chores.Chores)) *bundle {
	t.Helper()
	db := testdb.New(t)
	real, err := store.Open(t.Context(), db.Login(t, "taskrunner_service"), store.Options{MaxConns: 4, AcquireTimeout: patience})
	require.NoError(t, err)
	b := &bundle{db: db, store: &testStore{Store: real, sweeps: make(chan chan struct{}, 1)}, replica: uuid.New(), started: make(chan struct{}, 1000),
		notified: notify.NewSignal(), freed: notify.NewSignal()}
	if change != nil {
		change(b.store)
	}
	b.chores = chores.New(chores.Config{
		Replica: b.replica, Name: "test", Version: "1", ClaimTimeout: 30 * time.Second, IdempotencyLife: time.Hour,
		Notified: b.notified, Freed: b.freed, HeldHosts: func() []task.HeldHost { return nil }, FreeSlots: func() int { return 7 },
		WakeStart: func() { b.started <- struct{}{} }, WakeDeliver: func() {},
	}, b.store)
	changeChores(b.chores)
	ctx, stop := context.WithCancel(context.Background())
	work, stopWork := context.WithCancel(context.Background())
	b.stop, b.stopWork = stop, stopWork
	done := make(chan error, 1)
	go func() { done <- b.chores.Run(ctx, work) }()
	t.Cleanup(func() {
		stop()
		stopWork()
		require.NoError(t, <-done)
		real.Close()
	})
	return b
}

func (b *bundle) heartbeat(t *testing.T) (at time.Time) {
	t.Helper()
	err := b.db.Pool.QueryRow(t.Context(), "select heartbeat_at from taskrunner_private.replica where id = $1", b.replica).Scan(&at)
	require.NoError(t, err)
	return at
}

// awaitBeat waits for a heartbeat after the present one.
func (b *bundle) awaitBeat(t *testing.T) {
	t.Helper()
	last := b.heartbeat(t)
	require.Eventually(t, func() bool { return b.heartbeat(t).After(last) }, patience, 5*time.Millisecond)
}

func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// submit creates a task with a timeout of a second.
func (b *bundle) submit(t *testing.T) uuid.UUID {
	t.Helper()
	tasks, err := b.store.Submit(t.Context(), uuid.New(), []byte(`[{"id": "a", "name": "a", "kind": "k", "timeout": 1,
		"on_start": {"kind": "Webhook", "params": {"url": "http://127.0.0.1:9/", "verb": "Post"}}}]`))
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	return tasks[0].ID
}

func (b *bundle) claim(t *testing.T, replica uuid.UUID) task.Claim {
	t.Helper()
	claims, _, err := b.store.ClaimTasks(t.Context(), replica, 10, 30*time.Second, nil, true, task.Rooms{})
	require.NoError(t, err)
	require.Len(t, claims, 1)
	return claims[0]
}

func TestPulseRegistersTheReplica(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	receive(t, b.chores.Registered(), "registration")
	var name, version string
	var slots int
	var idleChores bool
	err := b.db.Pool.QueryRow(t.Context(), `select name, version, free_slots, idle_chores_at is not null
		from taskrunner_private.replica where id = $1`, b.replica).Scan(&name, &version, &slots, &idleChores)
	require.NoError(t, err)
	require.Equal(t, []any{"test", "1", 7, true}, []any{name, version, slots, idleChores})

	b.submit(t)
	receive(t, b.started, "wake-up for the ready task")
	b.awaitBeat(t)
}

func TestPulseSurvivesFailures(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *testStore) { s.broken.Store(true) })
	require.Never(t, func() bool {
		select {
		case <-b.chores.Registered():
			return true
		default:
			return false
		}
	}, 100*time.Millisecond, 10*time.Millisecond)
	b.store.broken.Store(false)
	receive(t, b.chores.Registered(), "registration")
	b.store.broken.Store(true)
	b.store.broken.Store(false)
	b.awaitBeat(t)
}

// A chore that takes long hides no heartbeat, and the heart beats on when the work is over.
func TestHeartbeatBesideALongChore(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *testStore) { s.hold.Store(true) })
	id := b.submit(t)
	c := b.claim(t, b.replica)
	_, startErr := b.store.StartTasks(t.Context(), []task.StartTry{{Claim: c, Try: task.Try{At: time.Now()}}})
	require.NoError(t, startErr)
	release := receive(t, b.store.sweeps, "sweep of the task that timed out")
	b.awaitBeat(t)
	close(release)
	require.Eventually(t, func() bool {
		got, err := b.store.Task(t.Context(), id)
		require.NoError(t, err)
		return got.Status == task.Failure
	}, patience, 5*time.Millisecond)

	b.stopWork()
	b.awaitBeat(t)
	b.stop()
	b.db.AssertInvariants(t)
}

// A replica whose chores come to an end is stamped as idle at once: until then nobody notifies it.
func TestIdleIsToldWhenWorkEnds(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(s *testStore) { s.hold.Store(true) }, func(c *chores.Chores) { c.SetPulseEvery(time.Hour) })
	receive(t, b.chores.Registered(), "registration")
	b.submit(t)
	b.claim(t, uuid.New())
	_, err := b.db.Pool.Exec(t.Context(), "update taskrunner_private.active_task set due_at = now() - interval '1 second'")
	require.NoError(t, err)
	idle := func() (told bool) {
		err := b.db.Pool.QueryRow(t.Context(), "select idle_chores_at is not null from taskrunner_private.replica where id = $1", b.replica).Scan(&told)
		require.NoError(t, err)
		return told
	}
	require.True(t, idle())
	b.notified.Set()
	release := receive(t, b.store.sweeps, "sweep of the claim that timed out")
	b.notified.Set()
	require.Eventually(t, func() bool { return !idle() }, patience, 5*time.Millisecond)
	close(release)
	require.Eventually(t, idle, patience, 5*time.Millisecond)
	b.db.AssertInvariants(t)
}

// Who is told of a freed slot gives it away and wakes the start loop without a pulse, and is stamped as idle again.
func TestFreedSlotsAreGivenAway(t *testing.T) {
	t.Parallel()
	b := setupWith(t, nil, func(c *chores.Chores) { c.SetPulseEvery(time.Hour) })
	receive(t, b.chores.Registered(), "registration")
	exec := func(sql string) {
		_, err := b.db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec(`insert into taskrunner.task (name, kind, rules) select n, 'k',
		'[{"type": "Concurency", "max_concurency": 1, "matcher": {"status": "Running", "kind": "k", "fields": []}}]' from unnest('{a,b}'::text[]) n`)
	exec("select taskrunner_private.register_shape()")
	claimed := func() (name string) {
		for range 2 { // the second finds what the first has parked nobody for
			claims, _, err := b.store.ClaimTasks(t.Context(), uuid.New(), 10, 30*time.Second, nil, true, task.Rooms{})
			require.NoError(t, err)
			for _, c := range claims {
				require.Empty(t, name, "one at a time")
				require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select name from taskrunner.task where id = $1", c.TaskID).Scan(&name))
			}
		}
		return name
	}
	require.Equal(t, "a", claimed())
	for len(b.started) > 0 {
		<-b.started
	}
	exec("update taskrunner.task set status = 'Success' where name = 'a'")
	b.freed.Set()
	receive(t, b.started, "wake-up for the parked task")
	require.Equal(t, "b", claimed())
	require.Eventually(t, func() (idle bool) {
		err := b.db.Pool.QueryRow(t.Context(), "select idle_wake_at is not null from taskrunner_private.replica where id = $1", b.replica).Scan(&idle)
		require.NoError(t, err)
		return idle
	}, patience, 5*time.Millisecond)
	b.db.AssertInvariants(t)
}

// A timeout is handled when it is due, not at the next full second only.
func TestChoresRunWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	id := b.submit(t)
	c := b.claim(t, b.replica)
	_, startErr := b.store.StartTasks(t.Context(), []task.StartTry{{Claim: c, Try: task.Try{At: time.Now()}}})
	require.NoError(t, startErr)
	var got task.Task
	require.Eventually(t, func() bool {
		var err error
		got, err = b.store.Task(t.Context(), id)
		require.NoError(t, err)
		return got.Status == task.Failure
	}, patience, 5*time.Millisecond)
	require.Equal(t, "Timeout", *got.FailureReason)
	require.WithinDuration(t, got.LastUpdated.Add(time.Second), *got.EndedAt, time.Second)
	b.db.AssertInvariants(t)
}

// Heartbeats that are old because nobody could write prove nothing, so a replica judges nobody for its first 5 s.
func TestDeadReplicasAreJudgedAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	receive(t, b.chores.Registered(), "registration")
	began := time.Now()
	dead := uuid.New()
	_, err := b.store.Store.Pulse(t.Context(), task.Pulse{Replica: dead, Name: "dead"})
	require.NoError(t, err)
	id := b.submit(t)
	b.claim(t, dead)
	_, err = b.db.Pool.Exec(t.Context(), "update taskrunner_private.replica set heartbeat_at = now() - interval '1 hour' where id = $1", dead)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		got, err := b.store.Task(t.Context(), id)
		require.NoError(t, err)
		return got.Status == task.Pending
	}, patience, 5*time.Millisecond)
	require.Greater(t, time.Since(began), 3500*time.Millisecond)
	b.db.AssertInvariants(t)
}

func TestExpiredIdempotencyKeysAreRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := b.db.Pool.Exec(t.Context(), `insert into taskrunner_private.idempotency_key (token_name, key, batch_id, body_hash, created_at)
		select '', n, gen_random_uuid(), sha256('x'), now() - make_interval(mins => n * 40) from generate_series(1, 3) n`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var left string
		err := b.db.Pool.QueryRow(t.Context(), "select string_agg(key, ' ') from taskrunner_private.idempotency_key").Scan(&left)
		require.NoError(t, err)
		return left == "1"
	}, patience, 5*time.Millisecond)
}
