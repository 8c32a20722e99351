package connect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience bounds what a server or pooler is asked.
const patience = 10 * time.Second

// ErrStatements means that prepared statements get lost between statements.
var ErrStatements = errors.New("this connection leads through a pooler that does not keep prepared statements, such as PgBouncer before 1.21")

// WaitForPool waits as Wait does until a pool of connections to dsn would work. With statements it is [ErrStatements] that ends the wait,
// unless prepared statements survive.
func WaitForPool(ctx context.Context, dsn string, statements bool, timeout time.Duration, log *slog.Logger) error {
	conn, err := wait(ctx, "DATABASE_URL", dsn, timeout, log, func(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil && statements {
			if err = testStatements(ctx, conn, config); err != nil {
				_ = conn.Close(ctx)
			}
		}
		return conn, err
	})
	if err != nil {
		return err
	}
	if err := conn.Close(ctx); err != nil {
		log.Debug("close a connection", "error", err)
	}
	return nil
}

// testStatements returns [ErrStatements] unless prepared statements survive on connections by config, as conn is one. A pooler that
// does not know of them either hands one connection's statement to the next, where it is in the way, or sends the connection where
// its statement is not. That strangers come between could hide this once, hardly three times.
func testStatements(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) error {
	const rounds = 3
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var pid uint32
	if err := conn.QueryRow(asking, "select pg_backend_pid()").Scan(&pid); err != nil {
		return fmt.Errorf("ask who answers: %w", err)
	}
	if pid == conn.PgConn().PID() {
		return nil // nobody stands between
	}
	other, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer other.Close(ctx)
	for range rounds {
		if err := testStatement(ctx, conn.PgConn(), other.PgConn(), "taskrunner_test_"+rand.Text()); err != nil {
			return fmt.Errorf("test prepared statements: %w", err)
		}
	}
	return nil
}

func testStatement(ctx context.Context, one, other *pgconn.PgConn, name string) error {
	const sql = "select 1"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
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
