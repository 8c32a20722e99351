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

// Deadlocks returns how many deadlocks PostgreSQL broke up in this database (each ended one statement with 40P01).
func (db *DB) Deadlocks(t testing.TB) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	// A backend that saw a deadlock reports it within a second of going idle, at once when it ends. A fresh connection
	// has no cached statistics.
	conn, err := pgx.Connect(ctx, db.DSN)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	defer conn.Close(ctx)
	var n int64
	err = conn.QueryRow(ctx, "select deadlocks from pg_stat_database where datname = current_database()").Scan(&n)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	return n
}

// AssertNoDeadlocks fails the test if PostgreSQL had to break up a deadlock in this database.
func (db *DB) AssertNoDeadlocks(t testing.TB) {
	t.Helper()
	if n := db.Deadlocks(t); n > 0 {
		t.Errorf("%d deadlocks in the database (see the server's log)", n)
	}
}
