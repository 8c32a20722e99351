package modeltest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) {
	// Longer runs, and a smaller example is worth its time. The command line wins.
	for name, value := range map[string]string{"rapid.steps": "50", "rapid.shrinktime": "2m"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	testdb.Main(m)
}

const (
	// patience bounds one operation: what takes longer hangs.
	patience = 30 * time.Second
	// The tries of a webhook, few so that tests come to the last one.
	startTries    = 2
	deliveryTries = 2
)

// budget is the time of both tests together: MODEL_SECONDS, by default 50.
func budget(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("MODEL_SECONDS")
	if text == "" {
		return 50 * time.Second
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 {
		t.Fatalf("MODEL_SECONDS=%q is no number of seconds", text)
	}
	return time.Duration(seconds) * time.Second
}

// world is a database with a login per role.
type world struct {
	db    *testdb.DB
	dsns  map[string]string // by role; owner is a superuser
	users map[string]string
	owner *pgx.Conn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{db: testdb.New(t), users: map[string]string{}}
	w.dsns = map[string]string{"owner": w.db.DSN}
	for _, role := range []string{"producer", "worker", "admin", "service"} {
		w.dsns[role] = w.db.Login(t, "taskrunner_"+role)
	}
	for role, dsn := range w.dsns {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		w.users[role] = config.User
	}
	w.owner = w.db.Connect(t)
	// Found soon, before whoever takes part in a deadlock is killed, but not while a claim that waits for limits out of order has
	// not given up yet: that is 100 ms (lock_stripes).
	w.exec(t, fmt.Sprintf("alter database %s set deadlock_timeout = '200ms'", pgx.Identifier{w.db.Name}.Sanitize()))
	w.exec(t, auditSchema)
	w.exec(t, fmt.Sprintf("update taskrunner_private.server_setting set start_max_attempts = %d, webhook_max_attempts = %d",
		startTries, deliveryTries))
	return w
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (w *world) exec(t tester, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := w.owner.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// reset empties the database for the next graph. Deleting a few rows past all triggers is much quicker than truncating.
func (w *world) reset(t tester) {
	t.Helper()
	sql := "begin; set local session_replication_role = replica;"
	for _, table := range []string{
		"taskrunner.batch", "taskrunner.task", "taskrunner.link", "taskrunner.action", "taskrunner_private.queued_task",
		"taskrunner_private.active_task", "taskrunner_private.ended_task", "taskrunner_private.delivery",
		"taskrunner_private.delivery_try", "taskrunner_private.due_delivery", "taskrunner_private.troubled_delivery", "taskrunner_private.replica",
		"taskrunner_private.dead_end_check", "taskrunner_private.limit_shape", "taskrunner_private.shape_request",
		"taskrunner_private.slot", "taskrunner_private.gate", "taskrunner_private.wake", "audit.dead_end", "audit.activity",
	} {
		sql += "delete from " + table + ";"
	}
	w.exec(t, sql+"commit")
	w.deadEnds(t, false)
}

// deadEnds sets what batches want that do not say.
func (w *world) deadEnds(t tester, on bool) {
	t.Helper()
	w.exec(t, fmt.Sprintf("update taskrunner_private.server_setting set dead_end_cancel = %t", on))
}

// all reads the whole database.
func (w *world) all(t tester) observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var o observation
	err := pgx.BeginFunc(ctx, w.owner, func(tx pgx.Tx) (err error) {
		o, err = observe(ctx, tx, true)
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return o
}

// counted reads which shapes are counted.
func (w *world) counted(t tester) (shapes []shape) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := pgx.BeginFunc(ctx, w.owner, func(tx pgx.Tx) (err error) {
		shapes, err = countedShapes(ctx, tx)
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return shapes
}

// activities reads the log of starts.
func (w *world) activities(t tester) []logged {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := w.owner.Query(ctx, `
		select no, xid::text, what, task_id, name, kind, rules::text, metadata::text, work from audit.activity order by no`)
	if err != nil {
		t.Fatalf("log of starts: %v", err)
	}
	log, err := pgx.CollectRows(rows, pgx.RowToStructByPos[logged])
	if err != nil {
		t.Fatalf("log of starts: %v", err)
	}
	return log
}

// invariants returns the rows of check_invariants.
func (w *world) invariants(t tester) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := w.owner.Query(ctx, "select format('%s: %s', invariant, detail) from taskrunner.check_invariants()")
	if err != nil {
		t.Fatalf("check_invariants: %v", err)
	}
	broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("check_invariants: %v", err)
	}
	return broken
}

// client is one caller of the engine, with a connection per role.
type client struct {
	w     *world
	conns map[string]*pgx.Conn
	mu    sync.Mutex
	pid   uint32 // of the connection at work, 0 between operations
}

func (w *world) newClient() *client { return &client{w: w, conns: map[string]*pgx.Conn{}} }

func (c *client) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, conn := range c.conns {
		_ = conn.Close(ctx)
	}
}

// conn returns the connection of a role, a new one if it was killed.
func (c *client) conn(ctx context.Context, role string) (*pgx.Conn, error) {
	if conn := c.conns[role]; conn != nil && !conn.IsClosed() {
		return conn, nil
	}
	conn, err := pgx.Connect(ctx, c.w.dsns[role])
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", role, err)
	}
	c.conns[role] = conn
	return conn, nil
}

// outcome is how a transaction ended.
type outcome struct {
	code string // SQLSTATE when it was refused
	text string // and the message, with where it came from
	lost bool   // the connection was killed before the commit was sent: it is rolled back
	open bool   // the connection was killed during the commit: only the database knows
	seen observation
}

// do runs an operation in a transaction of its own, and keeps it open for a moment. An error is no outcome but a fault of
// the test or of the engine.
func (c *client) do(o op, all bool, hold time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := c.conn(ctx, o.role())
	if err != nil {
		return outcome{}, err
	}
	c.at(conn.PgConn().PID())
	defer c.at(0)

	tx, err := conn.Begin(ctx)
	if err != nil {
		return c.broken(ctx, conn, outcome{lost: true}, err)
	}
	if err := o.run(ctx, tx); err != nil {
		if code := sqlstate(err); code != "" && !conn.IsClosed() && code != "57P01" {
			if err := tx.Rollback(ctx); err != nil {
				return c.broken(ctx, conn, outcome{lost: true}, err)
			}
			if code == codeNotYet && strings.Contains(err.Error(), "try again") {
				return outcome{code: codeFirst}, nil
			}
			return outcome{code: code, text: explained(err)}, c.foreseen(code, err)
		}
		return c.broken(ctx, conn, outcome{lost: true}, err)
	}
	seen, err := observe(ctx, tx, all)
	if err != nil {
		return c.broken(ctx, conn, outcome{lost: true}, err)
	}
	time.Sleep(hold)
	if err := tx.Commit(ctx); err != nil {
		return c.broken(ctx, conn, outcome{open: true, seen: seen}, err)
	}
	return outcome{seen: seen}, nil
}

// explained is an error of the server with its details.
func explained(err error) string {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err.Error()
	}
	return fmt.Sprintf("%v\n%s\n%s", err, pgErr.Detail, pgErr.Where)
}

func (c *client) at(pid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid = pid
}

// backend returns the process that serves the operation at work, 0 between operations.
func (c *client) backend() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// broken is for errors other than a refusal: a killed connection is an outcome, anything else an error.
func (c *client) broken(ctx context.Context, conn *pgx.Conn, killed outcome, err error) (outcome, error) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return outcome{}, fmt.Errorf("hangs for %v: %w\n%s", patience, err, c.w.waits())
	}
	if sqlstate(err) == "57P01" || conn.IsClosed() {
		_ = conn.Close(ctx)
		return killed, nil
	}
	return outcome{}, err
}

// foreseen passes the SQLSTATEs that callers have to reckon with.
func (c *client) foreseen(code string, err error) error {
	if strings.HasPrefix(code, "TR") ||
		slices.Contains([]string{codeForeignKey, codeUnique, codeRepeat, codeDeadlock}, code) {
		return nil
	}
	return fmt.Errorf("SQLSTATE %s: %w", code, err)
}

// waits tells who waits for whom.
func (w *world) waits() string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.db.DSN)
	if err != nil {
		return err.Error()
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		select format('%s waits for %s: %s', pid, pg_blocking_pids(pid), left(query, 200))
		from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`)
	if err != nil {
		return err.Error()
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err.Error()
	}
	return strings.Join(lines, "\n")
}

// stats counts outcomes by kind of operation.
type stats struct {
	mu     sync.Mutex
	graphs int
	ops    int
	counts map[string]map[string]int
}

func newStats() *stats { return &stats{counts: map[string]map[string]int{}} }

func (s *stats) add(kind, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[kind] == nil {
		s.counts[kind] = map[string]int{}
	}
	s.ops++
	s.counts[kind][what]++
}

// total sums an outcome over all kinds.
func (s *stats) total(what string) int {
	n := 0
	for _, c := range s.counts {
		n += c[what]
	}
	return n
}

func (s *stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d graphs, %d operations\n", s.graphs, s.ops)
	for _, k := range kinds {
		c := s.counts[k.name]
		if c == nil {
			continue
		}
		fmt.Fprintf(&b, "  %-18s %6d done", k.name, c["done"])
		whats := []string{}
		for what := range c {
			if what != "done" {
				whats = append(whats, what)
			}
		}
		slices.Sort(whats)
		for _, what := range whats {
			fmt.Fprintf(&b, ", %d %s", c[what], what)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// checkCoverage fails if a kind of operation never went through in a run long enough for each to be drawn many times.
func (s *stats) checkCoverage(t *testing.T, drawn func(kind string) bool) {
	t.Helper()
	const enough = 4000
	if s.ops < enough {
		return
	}
	for _, k := range kinds {
		if drawn(k.name) && s.counts[k.name]["done"] == 0 {
			t.Errorf("%s never went through in %d operations", k.name, s.ops)
		}
	}
}

func nodeRefs(nodes []*node) []ref {
	list := make([]ref, len(nodes))
	for i, n := range nodes {
		list[i] = ref{n.id, n.name}
	}
	return list
}

// finishAll lets every task run to its end, by operations of which each is applied to the model: nothing may be stuck.
func finishAll(m *model, k *known, do func(op)) error {
	const enough = 5 // where one task starts after the other, that will do
	before := -1
	for round := 0; ; round++ {
		live := m.sorted(func(n *node) bool { return !n.status.Terminal() })
		if len(live) == 0 {
			return nil
		}
		if len(live) == before {
			return fmt.Errorf("%d tasks are stuck:\n%s", len(live), m.graph())
		}
		before = len(live)
		for _, n := range live {
			if n.status == task.Paused {
				do(&one{base: base{"admin"}, what: "resume", task: ref{n.id, n.name}})
			}
			if n.runAt == ahead {
				do(&age{base: base{"owner"}, task: ref{n.id, n.name}, what: runMoment})
			}
			if n.expected == unknownCount {
				do(&setData{base: base{"admin"}, task: ref{n.id, n.name}, expected: 3, what: "expected_count"})
			}
		}
		do(&drain{base: base{"service"}})
		if round == enough {
			do(&setRules{base: base{"owner"}, tasks: nodeRefs(m.sorted(func(n *node) bool { return !n.status.Terminal() }))})
		}
		do(&startAll{base: base{"owner"}, replica: k.replicas[0]})
		do(&finishMany{base: base{"worker"}, tasks: nodeRefs(m.sorted((*node).reportable)), to: task.Success})
	}
}
