package testdb

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// AssertInvariants fails the test with the rows of taskrunner.check_invariants(), if there are any.
func (db *DB) AssertInvariants(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	rows, err := db.Pool.Query(ctx, "select invariant, detail::text from taskrunner.check_invariants()")
	if err != nil {
		t.Fatalf("check_invariants: %v", err)
	}
	var broken []string
	var invariant, detail string
	_, err = pgx.ForEachRow(rows, []any{&invariant, &detail}, func() error {
		broken = append(broken, fmt.Sprintf("%s: %s", invariant, detail))
		return nil
	})
	if err != nil {
		t.Fatalf("check_invariants: %v", err)
	}
	const most = 50
	if n := len(broken); n > most {
		broken = append(broken[:most], fmt.Sprintf("and %d more", n-most))
	}
	if len(broken) > 0 {
		t.Errorf("broken invariants:\n  %s", strings.Join(broken, "\n  "))
	}
}

// Deadlocks returns how many deadlocks PostgreSQL broke up in this database (each ended one statement with 40P01). The
// workers of the test must have stopped: all connections to the database are ended, DB.Pool can be used afterwards. The
// reason is that a connection reports a deadlock when it ends, or else up to ten seconds later.
func (db *DB) Deadlocks(t testing.TB) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	db.Pool.Reset()
	conn, err := pgx.Connect(ctx, db.DSN)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	defer conn.Close(ctx)
	const waitMillis = 5000
	_, err = conn.Exec(ctx, "select pg_terminate_backend(pid, $1) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
		waitMillis)
	if err != nil {
		t.Fatalf("testdb: end the other connections: %v", err)
	}
	var n int64
	err = conn.QueryRow(ctx, "select deadlocks from pg_stat_database where datname = current_database()").Scan(&n)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	return n
}

// AssertNoDeadlocks fails the test if PostgreSQL had to break up a deadlock in this database. Call it at the end of a
// test: see [DB.Deadlocks].
func (db *DB) AssertNoDeadlocks(t testing.TB) {
	t.Helper()
	if n := db.Deadlocks(t); n > 0 {
		t.Errorf("%d deadlocks in the database (see the server's log)", n)
	}
}
