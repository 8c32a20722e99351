// Package connect makes the first connection to a database, waiting for one that is not there yet, and says why a
// connection failed: the cause, once, where pgx lists every address with every kind of TLS.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pause is the time between tries.
const pause = 500 * time.Millisecond

// Error says why there is no connection, and which setting is to blame. It names no password.
type Error struct {
	Setting string
	Waited  time.Duration // how long the database was waited for; 0 if that would have been of no use
	Err     error
}

func (e *Error) Error() string {
	if e.Waited > 0 {
		return fmt.Sprintf("%s: no connection within DATABASE_STARTUP_TIMEOUT_SECS = %v: %s", e.Setting, e.Waited.Seconds(), Text(e.Err))
	}
	return e.Setting + ": " + Text(e.Err)
}

// Unwrap gives pgx's error.
func (e *Error) Unwrap() error { return e.Err }

// Wait connects to the database at dsn, the value of the named setting, and tries again until the timeout while nobody
// answers or the server is not ready. A server that refuses the user, the password or the database ends the wait at
// once. The error is an [*Error], or that of the context.
func Wait(ctx context.Context, setting, dsn string, timeout time.Duration, log *slog.Logger) (*pgx.Conn, error) {
	return wait(ctx, setting, dsn, timeout, log, pgx.ConnectConfig)
}

// wait is Wait with another way to try.
func wait(
	ctx context.Context, setting, dsn string, timeout time.Duration, log *slog.Logger,
	try func(context.Context, *pgx.ConnConfig) (*pgx.Conn, error),
) (*pgx.Conn, error) {
	config, err := Parse(dsn)
	if err != nil {
		return nil, &Error{Setting: setting, Err: errors.New("not a connection URL or string of PostgreSQL")} // err may hold the password
	}
	deadline := time.Now().Add(timeout)
	for told := false; ; told = true {
		conn, err := try(ctx, config)
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case refused(err):
			return nil, &Error{Setting: setting, Err: err}
		case !time.Now().Before(deadline):
			return nil, &Error{Setting: setting, Waited: timeout, Err: err}
		}
		if !told {
			log.Warn("waiting for the database", "setting", setting, "timeout", timeout, "error", Text(err))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// refused reports a server that answered, and whose answer will not change by waiting: 28 is a user or password that is
// not accepted, 3D000 no such database, 42501 one that this user may not enter; and a pooler that loses statements.
func refused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.Is(err, ErrStatements) || errors.As(err, &pgErr) &&
		(strings.HasPrefix(pgErr.Code, "28") || pgErr.Code == "3D000" || pgErr.Code == "42501")
}
