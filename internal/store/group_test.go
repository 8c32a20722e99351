package store_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
)

// running creates n running tasks.
func (b *testBundle) running(t *testing.T, n int) []uuid.UUID {
	t.Helper()
	entries := make([]map[string]any, n)
	for i := range entries {
		entries[i] = entry(fmt.Sprint("t", i))
	}
	ids := make([]uuid.UUID, n)
	for i, created := range b.submit(t, entries...) {
		ids[i] = created.ID
	}
	for started := 0; started < n; {
		claims := b.start(t)
		require.NotEmpty(t, claims)
		started += len(claims)
	}
	b.transitions()
	return ids
}

// hold locks a task until release is called.
func (b *testBundle) hold(t *testing.T, id uuid.UUID) (release func()) {
	t.Helper()
	conn := b.db.Connect(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from taskrunner.task where id = $1 for update", id)
	require.NoError(t, err)
	return sync.OnceFunc(func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) })
}

func codeOf(err error) task.Code {
	if e, ok := err.(*task.Error); ok { //nolint:errorlint // exactly what callers get
		return e.Code
	}
	return ""
}

// Whatever shares a commit with an item, its answer is its own.
func TestEachItemOfAGroupHasItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.running(t, 100)
	full, ended := ids[0], ids[1]
	require.NoError(t, b.AddProgress(t.Context(), task.Progress{TaskID: full, NewSuccess: math.MaxInt64}))
	_, err := b.Report(t.Context(), task.Report{TaskID: ended, Status: ptr(task.Success)})
	require.NoError(t, err)
	b.transitions()

	report := func(r task.Report) error { _, err := b.Report(context.Background(), r); return err }
	progress := func(p task.Progress) error { return b.AddProgress(context.Background(), p) }
	type call struct {
		do   func() error
		want task.Code
	}
	var calls []call
	for _, id := range ids[2:] {
		calls = append(calls,
			call{func() error { return progress(task.Progress{TaskID: id, NewSuccess: 2, NewFailures: 1}) }, ""},
			call{func() error { return progress(task.Progress{TaskID: id, Attempt: ptr(int32(1)), NewSuccess: 3}) }, ""},
			call{func() error { return progress(task.Progress{TaskID: id, Attempt: ptr(int32(7)), NewSuccess: 3}) }, task.CodeAhead},
			call{func() error { return report(task.Report{TaskID: id, NewSuccess: ptr(int64(4))}) }, ""})
	}
	for range 20 {
		calls = append(calls,
			call{func() error { return progress(task.Progress{TaskID: uuid.New(), NewSuccess: 1}) }, task.CodeUnknown},
			call{func() error { return progress(task.Progress{TaskID: full, NewSuccess: 1}) }, task.CodeOverflow},
			call{func() error { return progress(task.Progress{TaskID: ended, NewSuccess: 1}) }, ""},
			call{func() error { return report(task.Report{TaskID: uuid.New()}) }, task.CodeUnknown},
			call{func() error { return report(task.Report{TaskID: full, NewSuccess: ptr(int64(1))}) }, task.CodeOverflow},
			call{func() error { return report(task.Report{TaskID: ended, Status: ptr(task.Failure)}) }, task.CodeState})
	}
	rand.Shuffle(len(calls), func(i, k int) { calls[i], calls[k] = calls[k], calls[i] })
	var before, after int64
	b.scan(t, &before, "select xact_commit from pg_stat_database where datname = current_database()")
	var work sync.WaitGroup
	for _, c := range calls {
		work.Go(func() {
			err := c.do()
			if codeOf(err) != c.want || (c.want == "") != (err == nil) {
				t.Errorf("%v, not %q", err, c.want)
			}
		})
	}
	work.Wait()
	b.scan(t, &after, "select xact_commit from pg_stat_database where datname = current_database()")
	require.Less(t, after-before, int64(len(calls)/2), "they share commits")
	for _, id := range ids[2:] {
		got, err := b.Task(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, []int64{9, 1}, []int64{got.Success, got.Failures})
		require.Equal(t, task.Running, got.Status)
	}
	got, err := b.Task(t.Context(), ended)
	require.NoError(t, err)
	require.EqualValues(t, 20, got.Success)
	require.Empty(t, b.transitions())
	b.db.AssertInvariants(t)
	b.db.AssertNoDeadlocks(t)
}

// Many clients on one task share its row as well as the commit, to the last count that fits.
func TestManyOnOneTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t, 1)[0]
	const clients, each, room = 64, 20, 700
	require.NoError(t, b.AddProgress(t.Context(), task.Progress{TaskID: id, NewSuccess: math.MaxInt64 - room}))
	var done, refused atomic.Int64
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			for range each {
				err := b.AddProgress(context.Background(), task.Progress{TaskID: id, NewSuccess: 1, NewFailures: 1})
				switch codeOf(err) {
				case "":
					done.Add(1)
				case task.CodeOverflow:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	require.EqualValues(t, room, done.Load())
	require.EqualValues(t, clients*each-room, refused.Load())
	got, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, []int64{math.MaxInt64, room}, []int64{got.Success, got.Failures})

	// A sum that cannot even be written down.
	other := b.running(t, 1)[0]
	done.Store(0)
	for range clients {
		work.Go(func() {
			if b.AddProgress(context.Background(), task.Progress{TaskID: other, NewFailures: math.MaxInt64}) == nil {
				done.Add(1)
			}
		})
	}
	work.Wait()
	require.EqualValues(t, 1, done.Load())
}

// Somebody who holds a task keeps nobody waiting but those who want this very task.
func TestAHeldTaskHoldsUpNoGroup(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *store.Options) { o.MaxConns = 2 })
	ids := b.running(t, 40)
	held, free := ids[0], ids[1:]
	release := b.hold(t, held)
	defer release()
	stuck := make(chan error, 3)
	for range 2 {
		go func() { stuck <- b.AddProgress(context.Background(), task.Progress{TaskID: held, NewSuccess: 1}) }()
	}
	go func() {
		_, err := b.Report(context.Background(), task.Report{TaskID: held, NewFailures: ptr(int64(1))})
		stuck <- err
	}()
	b.waitForLock(t)
	var work sync.WaitGroup
	for _, id := range free {
		work.Go(func() {
			for range 5 {
				if err := b.AddProgress(context.Background(), task.Progress{TaskID: id, NewSuccess: 1}); err != nil {
					t.Error(err)
				}
			}
			if _, err := b.Report(context.Background(), task.Report{TaskID: id, Status: ptr(task.Success)}); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	require.Empty(t, stuck, "it is still held")
	release()
	for range 3 {
		require.NoError(t, <-stuck)
	}
	got, err := b.Task(t.Context(), held)
	require.NoError(t, err)
	require.EqualValues(t, []int64{2, 1}, []int64{got.Success, got.Failures})
	b.db.AssertInvariants(t)
}

// Patience has an end, and nothing was written then.
func TestHeldTooLong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.running(t, 2)
	release := b.hold(t, ids[0])
	defer release()
	refused := make(chan error, 2)
	go func() { refused <- b.AddProgress(context.Background(), task.Progress{TaskID: ids[0], NewSuccess: 1}) }()
	go func() {
		_, err := b.Report(context.Background(), task.Report{TaskID: ids[0], Status: ptr(task.Success)})
		refused <- err
	}()
	for range 2 {
		requireCode(t, task.CodeBusy, <-refused)
	}
	release()
	require.NoError(t, b.AddProgress(t.Context(), task.Progress{TaskID: ids[0], NewSuccess: 1}))
	got, err := b.Task(t.Context(), ids[0])
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Success)
	require.Equal(t, task.Running, got.Status)
}

// Progress whose end nobody knows is not repeated, and nothing acknowledged is lost.
func TestConnectionsLostInGroups(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.running(t, 8)
	var acknowledged, unknown [8]atomic.Int64
	stop := make(chan struct{})
	var work sync.WaitGroup
	for k := range 32 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := k % len(ids)
				err := b.AddProgress(context.Background(), task.Progress{TaskID: ids[i], NewSuccess: 1})
				switch codeOf(err) {
				case "":
					acknowledged[i].Add(1)
				case task.CodeUnavailable:
					unknown[i].Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	for range 40 {
		b.exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and usename <> current_user and state = 'active'`)
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	work.Wait()
	lost := int64(0)
	for i, id := range ids {
		got, err := b.Task(t.Context(), id)
		require.NoError(t, err)
		require.GreaterOrEqual(t, got.Success, acknowledged[i].Load())
		require.LessOrEqual(t, got.Success, acknowledged[i].Load()+unknown[i].Load())
		lost += unknown[i].Load()
	}
	require.Positive(t, lost, "the test killed nobody at work")
	b.db.AssertInvariants(t)
}

// Reports, progress and cancellations of a layered graph from many clients at once, some of the tasks held for a moment
// by somebody else: every counter is what was acknowledged, each task ends once, and the engine's rules hold.
func TestLayeredGraphFromManyClients(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *store.Options) { o.MaxConns = 8 })
	const layers, width, clients = 5, 24, 24
	var entries []map[string]any
	for l := range layers {
		for i := range width {
			e := entry(fmt.Sprintf("%d-%d", l, i))
			var parents []any
			if l > 0 {
				for k := range 3 {
					parents = append(parents, map[string]any{"id": fmt.Sprintf("%d-%d", l-1, (i+k)%width), "requires_success": k == 0})
				}
			}
			e["dependencies"] = parents
			entries = append(entries, e)
		}
	}
	created := b.submit(t, entries...)
	index := map[uuid.UUID]int{}
	for i, c := range created {
		index[c.ID] = i
	}
	var counted [layers * width]struct{ success, failures, ends atomic.Int64 }
	var ended atomic.Int64
	var work sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stop := make(chan struct{})
	for range clients {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rand.IntN(len(created))
				id, n := created[i].ID, rand.Int64N(5)+1
				var err error
				switch rand.IntN(12) {
				case 0:
					if _, err = b.Cancel(ctx, id); err == nil {
						counted[i].ends.Add(1)
					}
				case 1, 2, 3:
					status := []task.Status{task.Success, task.Success, task.Success, task.Failure}[rand.IntN(4)]
					_, err = b.Report(ctx, task.Report{TaskID: id, Status: &status, NewSuccess: &n})
					if err == nil {
						counted[i].ends.Add(1)
						counted[i].success.Add(n)
					}
				case 4, 5:
					if _, err = b.Report(ctx, task.Report{TaskID: id, NewFailures: &n, Priority: ptr(int32(n))}); err == nil {
						counted[i].failures.Add(n)
					}
				default:
					if err = b.AddProgress(ctx, task.Progress{TaskID: id, NewSuccess: n, NewFailures: 1}); err == nil {
						counted[i].success.Add(n)
						counted[i].failures.Add(1)
					}
				}
				if err != nil && codeOf(err) != task.CodeState {
					t.Errorf("task %d: %v", i, err)
				}
			}
		})
	}
	work.Go(func() { // whatever is ready is started
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			claims, _, err := b.ClaimTasks(ctx, b.replica, 20, time.Minute, nil, true, task.Rooms{})
			if err != nil {
				t.Error(err)
				return
			}
			var tries []task.StartTry
			for _, c := range claims {
				tries = append(tries, task.StartTry{Claim: c, Try: okTry()})
			}
			if _, err := b.StartTasks(ctx, tries); err != nil && codeOf(err) != task.CodeBusy {
				t.Error(err)
			}
		}
	})
	work.Go(func() { // somebody in psql
		conn, err := pgx.Connect(ctx, b.db.DSN)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "select from taskrunner.task where id = $1 for update", created[rand.IntN(len(created))].ID)
				time.Sleep(150 * time.Millisecond)
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	require.Eventually(t, func() bool {
		var open int
		b.scan(t, &open, "select count(*) from taskrunner.task where ended_at is null")
		return open == 0
	}, 2*time.Minute, 20*time.Millisecond)
	close(stop)
	work.Wait()
	for _, c := range created {
		got, err := b.Task(t.Context(), c.ID)
		require.NoError(t, err)
		i := index[c.ID]
		require.Equal(t, []int64{counted[i].success.Load(), counted[i].failures.Load()}, []int64{got.Success, got.Failures}, "task %d", i)
		require.LessOrEqual(t, counted[i].ends.Load(), int64(1), "task %d", i)
		ended.Add(counted[i].ends.Load())
	}
	require.Positive(t, ended.Load())
	total := int64(0)
	b.mu.Lock()
	for _, m := range b.moves {
		if m.To.Terminal() {
			total += m.Count
		}
	}
	b.mu.Unlock()
	require.EqualValues(t, len(created), total, "each end is counted once")
	b.db.AssertInvariants(t)
	b.db.AssertNoDeadlocks(t)
}

// gate makes the report that ends a task wait, as long as the database does, until open is called. It notes in
// taskrunner_gate under which statement_timeout it went through.
func (b *testBundle) gate(t *testing.T, id uuid.UUID) (open func()) {
	t.Helper()
	b.exec(t, fmt.Sprintf(`
		create table public.taskrunner_gate (work text);
		create function public.taskrunner_gate() returns trigger language plpgsql security definer set lock_timeout = 0 as $$
		begin
			perform pg_advisory_xact_lock_shared(4711);
			insert into public.taskrunner_gate values (current_setting('statement_timeout'));
			return null;
		end $$;
		create trigger gate after update on taskrunner.task for each row
			when (new.id = '%s' and new.ended_at is not null) execute function public.taskrunner_gate()`, id))
	tx, err := b.db.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select pg_advisory_xact_lock(4711)")
	require.NoError(t, err)
	return sync.OnceFunc(func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) })
}

// atGate waits until a report stands before the gate, and returns the backend that writes it.
func (b *testBundle) atGate(t *testing.T) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.scan(t, &pid, "select coalesce(max(pid), 0) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"+
			" and database = (select oid from pg_database where datname = current_database())")
		return pid != 0
	}, 20*time.Second, 5*time.Millisecond)
	return pid
}

// A report that takes long keeps only those waiting that want its task.
func TestALongReportHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.running(t, 20)
	long := ids[0]
	open := b.gate(t, long)
	defer open()
	ended := make(chan error, 2)
	go func() {
		_, err := b.Report(context.Background(), task.Report{TaskID: long, Status: ptr(task.Failure), FailureReason: ptr("broken")})
		ended <- err
	}()
	const transaction = "select virtualtransaction from pg_locks where pid = $1 and locktype = 'advisory' and not granted"
	var before, after string
	b.scan(t, &before, transaction, b.atGate(t))
	go func() {
		_, err := b.Report(context.Background(), task.Report{TaskID: long})
		ended <- err
	}()
	for range 3 {
		var work sync.WaitGroup
		for _, id := range ids[1:] {
			work.Go(func() {
				if _, err := b.Report(context.Background(), task.Report{TaskID: id, NewSuccess: ptr(int64(1))}); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
	}
	require.Empty(t, ended, "it is still being written")
	b.scan(t, &after, transaction, b.atGate(t))
	require.Equal(t, before, after, "in the same group: the others did not wait for its end")
	open()
	require.NoError(t, <-ended)
	requireCode(t, task.CodeState, <-ended)
	b.db.AssertInvariants(t)
	b.db.AssertNoDeadlocks(t)
}

// A report that takes longer than groups may is written alone, for as long as it needs.
func TestAReportMayTakeLongerThanAGroup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.running(t, 2)
	open := b.gate(t, ids[0])
	defer open()
	ended := make(chan error, 1)
	go func() {
		r := task.Report{TaskID: ids[0], Status: ptr(task.Success), NewSuccess: ptr(int64(3))}
		_, err := b.Report(context.Background(), r)
		ended <- err
	}()
	pid := b.atGate(t)
	var ending time.Time
	b.scan(t, &ending, "select clock_timestamp()")
	b.exec(t, "select pg_cancel_backend($1)", pid) // as PostgreSQL does it to the group after groupWork
	require.Eventually(t, func() bool {
		pid := b.atGate(t)
		var patient bool
		b.scan(t, &patient, `select count(*) > 0 from pg_stat_activity
			where pid = $1 and xact_start > $2 and clock_timestamp() - xact_start > '2 s'`, pid, ending)
		return patient
	}, 20*time.Second, 20*time.Millisecond, "the first try alone is given up after quickWork, the next one is not")
	_, err := b.Report(t.Context(), task.Report{TaskID: ids[1], Status: ptr(task.Success)})
	require.NoError(t, err, "nobody else waits")
	require.Empty(t, ended)
	open()
	require.NoError(t, <-ended)
	var work string
	b.scan(t, &work, "select work from public.taskrunner_gate")
	require.Equal(t, "0", work)
	got, err := b.Task(t.Context(), ids[0])
	require.NoError(t, err)
	require.EqualValues(t, 3, got.Success)
	b.db.AssertInvariants(t)
}
