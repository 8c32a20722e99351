package sqltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

// querier is a connection, a transaction or the pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// engine is a database with the engine in it. Tasks are known by their names: id gives the id of each.
type engine struct {
	*testdb.DB
	t *testing.T
}

// setup gives the test a database of its own, which must be healthy and have seen no deadlock when the test ends.
func setup(t *testing.T) *engine {
	t.Helper()
	e := &engine{DB: testdb.New(t), t: t}
	t.Cleanup(func() {
		e.AssertInvariants(t)
		e.AssertNoDeadlocks(t)
	})
	return e
}

// id is the id of the task, batch or replica of this name.
func id(name string) string { return uuid.NewSHA1(uuid.Nil, []byte(name)).String() }

// ids are the ids of these names.
func ids(names ...string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = id(name)
	}
	return all
}

// lines runs statements as psql -At does: one line per row, columns joined by "|", null as the empty text.
func lines(ctx context.Context, q querier, sql string, args ...any) ([]string, error) {
	rows, err := q.Query(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var columns []string
		for _, value := range rows.RawValues() {
			columns = append(columns, string(value))
		}
		all = append(all, strings.Join(columns, "|"))
	}
	return all, rows.Err()
}

// lines runs a statement as superuser, which must succeed.
func (e *engine) lines(sql string, args ...any) []string {
	e.t.Helper()
	all, err := lines(e.t.Context(), e.Pool, sql, args...)
	require.NoError(e.t, err, sql)
	return all
}

// line runs a statement as superuser that gives one row.
func (e *engine) line(sql string, args ...any) string {
	e.t.Helper()
	all := e.lines(sql, args...)
	require.Len(e.t, all, 1, sql)
	return all[0]
}

// exec runs one or several statements as superuser. They must succeed.
func (e *engine) exec(sql string, args ...any) {
	e.t.Helper()
	_, err := e.Pool.Exec(e.t.Context(), sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	require.NoError(e.t, err, sql)
}

// fails runs a statement as superuser that must end in this SQLSTATE, and returns the error.
func (e *engine) fails(code, sql string, args ...any) *pgconn.PgError {
	e.t.Helper()
	_, err := lines(e.t.Context(), e.Pool, sql, args...)
	return requireCode(e.t, err, code, sql)
}

// requireCode takes the database's error out of err and requires its SQLSTATE.
func requireCode(t testing.TB, err error, code string, what ...any) *pgconn.PgError {
	t.Helper()
	require.Error(t, err, what...)
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr, what...)
	require.Equal(t, code, pgErr.Code, "%v: %s (%s)", what, pgErr.Message, pgErr.Detail)
	return pgErr
}

// codeOf is the SQLSTATE of an error, "" for none.
func codeOf(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// tasks inserts tasks without a batch, in this order, in one statement.
func (e *engine) tasks(names ...string) {
	e.t.Helper()
	e.exec(insertTasks(names...))
}

// batch inserts a batch and its tasks, in this order.
func (e *engine) batch(batch string, names ...string) {
	e.t.Helper()
	e.exec("insert into taskrunner.batch (id, name) values ($1, $2)", id(batch), batch)
	e.exec(strings.NewReplacer("(id,", "(batch_id, id,", "('", "('"+id(batch)+"', '").Replace(insertTasks(names...)))
}

// insertTasks is the INSERT of tasks of kind "k".
func insertTasks(names ...string) string {
	var rows []string
	for _, name := range names {
		rows = append(rows, fmt.Sprintf("('%s', '%s', 'k')", id(name), name))
	}
	return "insert into taskrunner.task (id, name, kind) values " + strings.Join(rows, ", ")
}

// links inserts links in one statement: "a>b" requires success, "a?b" does not.
func (e *engine) links(links ...string) {
	e.t.Helper()
	e.exec(insertLinks(links...))
}

func insertLinks(links ...string) string {
	var rows []string
	for _, link := range links {
		parent, child, required := strings.Cut(link, ">")
		if !required {
			parent, child, _ = strings.Cut(link, "?")
		}
		rows = append(rows, fmt.Sprintf("('%s', '%s', %t)", id(parent), id(child), required))
	}
	return "insert into taskrunner.link (parent_id, child_id, requires_success) values " + strings.Join(rows, ", ")
}

// action adds a webhook to a task: trigger is "Start", "Cancel", "Success" or "Failure"; the path names it.
func (e *engine) action(task, trigger, path string) {
	e.t.Helper()
	e.exec(insertAction(task, trigger, path))
}

func insertAction(task, trigger, path string) string {
	condition := "Success"
	if trigger == "Success" || trigger == "Failure" {
		trigger, condition = "End", trigger
	}
	return fmt.Sprintf(`insert into taskrunner.action (task_id, trigger, condition, params)
		values ('%s', '%s', '%s', '{"url": "https://hooks.example.com/%s", "verb": "Post"}')`, id(task), trigger, condition, path)
}

// set is the UPDATE that a client makes to move tasks to a status.
func set(status string, names ...string) string {
	return fmt.Sprintf("update taskrunner.task set status = '%s' where id in ('%s')", status, strings.Join(ids(names...), "', '"))
}

// move takes tasks through these statuses, each by a direct UPDATE.
func (e *engine) move(task string, statuses ...string) {
	e.t.Helper()
	for _, status := range statuses {
		e.exec(set(status, task))
	}
}

// notifications listens from now on, and returns what asks for those that have come since it was asked before.
func (e *engine) notifications() func() []string {
	e.t.Helper()
	listener := e.session("listener")
	listener.run("listen taskrunner")
	return func() (heard []string) {
		e.t.Helper()
		e.exec("notify taskrunner, 'end'")
		for {
			n, err := listener.WaitForNotification(e.t.Context())
			require.NoError(e.t, err)
			if n.Payload == "end" {
				return heard
			}
			heard = append(heard, n.Payload)
		}
	}
}

// state is "<status> <wait_finished>/<wait_success>", and " from <status>" when paused.
func (e *engine) state(task string) string {
	e.t.Helper()
	return e.line(`select status || ' ' || wait_finished || '/' || wait_success || coalesce(' from ' || paused_from, '')
		from taskrunner.task where id = $1`, id(task))
}

// requireStates requires the state of each task, given as "name: state".
func (e *engine) requireStates(states ...string) {
	e.t.Helper()
	for _, want := range states {
		name, state, _ := strings.Cut(want, ": ")
		require.Equal(e.t, state, e.state(name), name)
	}
}

// reason is a task's failure_reason.
func (e *engine) reason(task string) string {
	e.t.Helper()
	return e.line("select failure_reason from taskrunner.task where id = $1", id(task))
}

// failed is the reason of a task that failed because of this parent.
func failed(parent string) string { return "Required parent task " + id(parent) + " failed" }

// deliveries are the deliveries of a task as clients see them, sorted by key: "<key without the id> <url's path> <status>".
func (e *engine) deliveries(task string) []string {
	e.t.Helper()
	return e.lines(`select substr(idempotency_key, 38) || ' ' || substr(url, 27) || ' ' || status
		from taskrunner.delivery where task_id = $1 order by idempotency_key`, id(task))
}

// claim claims up to n tasks for a replica and returns their names in order.
func (e *engine) claim(replica string, n int) []string {
	e.t.Helper()
	return e.lines(claimTasks, id(replica), n)
}

// claimTasks claims for replica $1 up to $2 tasks; a claim is stale after 30 s.
const claimTasks = `
	select t.name
	from taskrunner_private.claim_tasks($1::uuid, $2, 30, '{}', '{}', true) c
	join taskrunner.task t on t.id = c.task_id
	order by t.priority desc, t.seq`

// replica registers a running process with a fresh heartbeat.
func (e *engine) replica(name string) {
	e.t.Helper()
	e.exec("select * from taskrunner_private.tick($1, $2, 'test', 10, false)", id(name), name)
}

// session is a connection of its own, to be stopped in the middle of a transaction.
type session struct {
	*pgx.Conn
	e    *engine
	name string
	pid  uint32
}

// session opens a connection as superuser.
func (e *engine) session(name string) *session {
	e.t.Helper()
	return e.sessionAs(name, e.DSN)
}

// sessionAs opens a connection to a DSN.
func (e *engine) sessionAs(name, dsn string) *session {
	e.t.Helper()
	conn := testdb.ConnectTo(e.t, dsn)
	return &session{Conn: conn, e: e, name: name, pid: conn.PgConn().PID()}
}

// run runs statements, which must succeed.
func (s *session) run(sql string, args ...any) []string {
	s.e.t.Helper()
	all, err := s.try(sql, args...)
	require.NoError(s.e.t, err, "%s: %s", s.name, sql)
	return all
}

// try runs statements.
func (s *session) try(sql string, args ...any) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return lines(ctx, s.Conn, sql, args...)
}

// answer is what a statement gave.
type answer struct {
	lines []string
	err   error
}

// begins starts a statement that is going to wait for a lock, and returns when it waits. Its answer comes through the
// channel.
func (s *session) begins(sql string, args ...any) <-chan answer {
	s.e.t.Helper()
	done := make(chan answer, 1)
	go func() {
		all, err := s.try(sql, args...)
		done <- answer{all, err}
	}()
	deadline := time.Now().Add(patience)
	for {
		if s.waits() {
			return done
		}
		select {
		case a := <-done:
			require.FailNow(s.e.t, "did not wait for a lock", "%s: %s: %v, %v", s.name, sql, a.lines, a.err)
		case <-time.After(pollInterval):
		}
		require.True(s.e.t, time.Now().Before(deadline), "%s: neither waits nor ends: %s", s.name, sql)
	}
}

// waits reports whether the session waits for a lock now.
func (s *session) waits() bool {
	s.e.t.Helper()
	return s.e.line("select count(*) from pg_stat_activity where pid = $1 and state = 'active' and wait_event_type = 'Lock'", s.pid) == "1"
}

const (
	// patience bounds everything that should be done at once.
	patience = 30 * time.Second
	// pollInterval is the pause between two looks at pg_stat_activity.
	pollInterval = 2 * time.Millisecond
)

// ends waits for the answer of a statement.
func ends(t testing.TB, done <-chan answer) answer {
	t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(patience):
		require.FailNow(t, "a statement does not end")
		return answer{}
	}
}
