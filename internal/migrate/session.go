package migrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/taskrunner/taskrunner/internal/connect"
)

// lockKey is the advisory lock that whoever migrates a database holds: "taskrunr" in ASCII, in the one-bigint space. It
// is no secret; another program that takes it only delays migrations.
const lockKey int64 = 0x7461736b72756e72

// session is one connection, seen as a pgx connection by our code and as a *sql.DB by goose. There is no second one on
// purpose: the lock lives and dies with the connection that does the work, so a migration can never go on after its
// lock was lost with another connection.
type session struct {
	db     *sql.DB
	config *pgx.ConnConfig
}

// openSession connects.
func openSession(ctx context.Context, dsn string) (*session, error) {
	config, err := connect.Parse(dsn)
	if err != nil {
		return nil, err // pgx hides the password
	}
	s := &session{config: config}
	s.db = sql.OpenDB(&onceConnector{Connector: stdlib.GetConnector(*config)})
	s.db.SetMaxOpenConns(1)
	if err := s.db.PingContext(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return s, nil
}

// onceConnector connects once: database/sql would otherwise replace a broken connection by a new one without the lock.
type onceConnector struct {
	driver.Connector
	used atomic.Bool
}

func (c *onceConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.used.Load() {
		return nil, errors.New("the connection was lost")
	}
	conn, err := c.Connector.Connect(ctx)
	if err == nil {
		c.used.Store(true)
	}
	return conn, err
}

func (s *session) close() {
	_ = s.db.Close() // the server ends the session when the connection closes, however it does
}

// requireUTF8 refuses a database that cannot hold every text of a request. In one of SQL_ASCII, which initdb makes where
// the environment names no locale, the engine would fail on the first letter beyond ASCII.
func (s *session) requireUTF8(ctx context.Context) error {
	var encoding string
	if err := s.db.QueryRowContext(ctx, "select current_setting('server_encoding')").Scan(&encoding); err != nil {
		return fmt.Errorf("read the encoding: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w, not %s: create database … template template0 encoding 'UTF8'", ErrEncoding, encoding)
	}
	return nil
}

// use lends the connection. f must not keep it, and must not be called while goose runs.
func (s *session) use(ctx context.Context, f func(conn *pgx.Conn) error) error {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close() // back to the pool of one
	return c.Raw(func(driverConn any) error {
		err := f(driverConn.(*stdlib.Conn).Conn())
		if errors.Is(err, driver.ErrBadConn) {
			// database/sql gives this value a meaning of its own.
			return fmt.Errorf("the connection was lost: %v", err)
		}
		return err
	})
}

// liftTimeouts undoes limits that the user or the database sets for everyday statements: a migration of much data takes
// long. They hold for this session only.
func (s *session) liftTimeouts(ctx context.Context) error {
	for _, setting := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if err := s.set(ctx, setting, "0"); err != nil {
			return err
		}
	}
	return nil
}

// set changes a setting for this session.
func (s *session) set(ctx context.Context, setting, value string) error {
	return s.use(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "select set_config($1, $2, false)", setting, value); err != nil {
			return fmt.Errorf("set %s: %w", setting, err)
		}
		return nil
	})
}

// lock takes the migration lock, waiting for whoever holds it until the context ends.
//
// It is tried again and again, never waited for: a waiting pg_advisory_lock is a statement with a snapshot, and
// "create index concurrently" in the holder's migration waits for all older snapshots: neither would ever go on.
func (s *session) lock(ctx context.Context, log *slog.Logger) (unlock func(), err error) {
	const (
		pause    = 100 * time.Millisecond
		reminder = 30 * time.Second
		waiting  = "waiting for another process that migrates this database"
	)
	var logged time.Time
	for {
		var got bool
		err := s.use(ctx, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", lockKey).Scan(&got)
		})
		switch {
		case err != nil && ctx.Err() != nil && !logged.IsZero():
			return nil, fmt.Errorf("%s: %w", waiting, context.Cause(ctx))
		case err != nil:
			return nil, fmt.Errorf("take the migration lock: %w", err)
		case got:
			return func() { s.unlock(log) }, nil
		}
		if time.Since(logged) > reminder {
			logged = time.Now()
			log.Info(waiting)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", waiting, context.Cause(ctx))
		case <-time.After(pause + rand.N(pause)):
		}
	}
}

// unlock frees the lock, also when the caller's context has ended. If that fails the connection is broken, and closing
// it frees the lock as well.
func (s *session) unlock(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var held bool
	err := s.use(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select pg_advisory_unlock($1)", lockKey).Scan(&held)
	})
	switch {
	case err != nil:
		log.Debug("migration lock not freed by statement", "error", err)
	case !held:
		log.Error("the migration lock was not held at the end: is this a pooled connection?")
	}
}
