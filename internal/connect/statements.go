package connect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrStatements means that prepared statements get lost between statements.
var ErrStatements = errors.New("this connection leads through a pooler that does not keep prepared statements, such as PgBouncer before 1.21")

// TestStatements returns [ErrStatements] unless prepared statements survive on connections to dsn, which leads where conn does. A
// pooler that does not know of them either hands one connection's statement to the next, where it is in the way, or sends the
// connection where its statement is not. That strangers come between could hide this once, hardly three times.
func TestStatements(ctx context.Context, conn *pgx.Conn, dsn string) error {
	const rounds, patience = 3, 10 * time.Second
	var pid uint32
	if err := conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
		return fmt.Errorf("ask who answers: %w", err)
	}
	if pid == conn.PgConn().PID() {
		return nil // nobody stands between
	}
	config, err := Parse(dsn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Bound(&config.Config)+patience)
	defer cancel()
	other, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer other.Close(ctx)
	for range rounds {
		if err := testStatement(ctx, conn.PgConn(), other.PgConn(), "taskrunner_test_"+rand.Text()); err != nil {
			return err
		}
	}
	return nil
}

func testStatement(ctx context.Context, one, other *pgconn.PgConn, name string) error {
	const sql = "select 1"
	_, err := one.Prepare(ctx, name, sql, nil)
	if err == nil {
		_, err = one.ExecPrepared(ctx, name, nil, nil, nil).Close()
	}
	if err == nil {
		_, err = other.Prepare(ctx, name, sql, nil)
	}
	// What stays behind in a session of the pooler is in nobody's way.
	_ = one.Deallocate(ctx, name)
	_ = other.Deallocate(ctx, name)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == "26000" || pgErr.Code == "42P05") {
		return fmt.Errorf("%w (%w)", ErrStatements, err)
	}
	return err
}
