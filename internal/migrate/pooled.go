package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// requireDirect returns [ErrPooled] unless all statements of this connection run in one session of the server.
func (s *session) requireDirect(ctx context.Context) error {
	return s.use(ctx, func(conn *pgx.Conn) error {
		pooled, err := isPooled(ctx, conn, s.config)
		if err != nil {
			return fmt.Errorf("test whether the connection is direct: %w", err)
		}
		if pooled {
			return ErrPooled
		}
		return nil
	})
}

// isPooled reports whether the statements of conn may run in different sessions.
//
// PostgreSQL tells a client at connect the number of the process that serves it. If the process that runs our statements
// has that number, nobody stands between. A pooler makes numbers of its own up. One in session mode is fine all the
// same, so the second step provokes what transaction mode would do:
//
//   - two statements in a row run in different processes: it deals them out in turn;
//   - a second connection that opens a transaction is served by the very process that "is" the first connection's: it
//     was lent out between two statements, which a session never is;
//   - while that transaction keeps it, the first connection is served by another.
//
// That the first connection's process is lent to a stranger at the wrong moments could hide this once, hardly three
// times. Comparing pg_backend_pid of two statements alone would miss the normal case: an idle PgBouncer hands out the
// connection it used last.
func isPooled(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) (bool, error) {
	const rounds = 3
	pid, err := backend(ctx, conn)
	if err != nil {
		return false, err
	}
	if pid == conn.PgConn().PID() {
		return false, nil
	}
	for range rounds {
		pooled, err := probePooler(ctx, conn, config)
		if pooled || err != nil {
			return pooled, err
		}
	}
	return false, nil
}

// probePooler does the second step of isPooled once.
func probePooler(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) (bool, error) {
	first, err := backend(ctx, conn)
	if err != nil {
		return false, err
	}
	again, err := backend(ctx, conn)
	if err != nil || again != first {
		return err == nil, err
	}
	return probeSecond(ctx, conn, config, first)
}

// probeSecond opens the second connection and compares. A pooler that has no session left for it, or that knows no
// transactions (PgBouncer in statement mode answers 08P01), counts as pooled too.
func probeSecond(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig, first uint32) (pooled bool, err error) {
	const patience = 5 * time.Second
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		var pgErr *pgconn.PgError
		if short.Err() != nil && ctx.Err() == nil || errors.As(err, &pgErr) && pgErr.Code == "08P01" {
			pooled, err = true, nil
		}
	}()
	other, err := pgx.ConnectConfig(short, config.Copy())
	if err != nil {
		return false, err
	}
	defer other.Close(short)
	tx, err := other.Begin(short)
	if err != nil {
		return false, err
	}
	defer tx.Rollback(short)
	holder, err := backend(short, tx)
	if err != nil || holder == first {
		return err == nil, err
	}
	again, err := backend(ctx, conn)
	return err == nil && again != first, err
}

// backend returns the number of the server process that runs the statement.
func backend(ctx context.Context, q Querier) (pid uint32, err error) {
	err = q.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
	return pid, err
}
