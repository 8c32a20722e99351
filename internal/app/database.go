package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/migrate"
)

const (
	connectTimeout = 5 * time.Second
	// connectPause lies between tries to reach a database that is not there yet.
	connectPause = 500 * time.Millisecond
)

// errOlder means that somebody else has to migrate.
var errOlder = errors.New("the database is not migrated")

// prepareDatabase waits for the database and brings it to this program's schema. A role without the right to migrate goes
// on when the schema fits. It reports whether this process may claim: not on a schema of a newer version.
func prepareDatabase(ctx context.Context, c config.Database, log *slog.Logger) (claims bool, err error) {
	conn, err := waitForDatabase(ctx, c, log)
	if err != nil {
		return false, err
	}
	isolationErr := checkIsolation(ctx, conn)
	status, checkErr := migrate.Check(ctx, conn)
	closeErr := conn.Close(ctx)
	switch {
	case isolationErr != nil:
		return false, isolationErr
	case checkErr != nil && !denied(checkErr):
		return false, checkErr
	case closeErr != nil:
		log.Debug("close a connection", "error", closeErr)
	}
	if checkErr == nil && status.State == migrate.Newer {
		log.Warn("this process claims nothing", "reason", status.String())
		return false, nil
	}

	result, err := migrate.Up(ctx, c.Direct(), log)
	switch {
	case err == nil:
	case denied(err) && checkErr == nil && status.State == migrate.Fits:
		return true, nil // only grants would have been renewed
	case denied(err) && checkErr != nil:
		return false, fmt.Errorf("this user may not even look at the schema's version: grant taskrunner_service to it (%w)", checkErr)
	case denied(err):
		return false, fmt.Errorf("%w, and this user may not do it: run \"taskrunner migrate\" as the owner of the schema (%w)", errOlder, err)
	default:
		return false, err
	}
	log.Info("database", "result", result.String())
	if len(result.MissingRoles) > 0 {
		log.Warn("roles are missing; a user who may create roles can run these statements", "statements", result.RoleStatements)
	}
	return result.Outcome != migrate.DatabaseNewer, nil
}

// checkIsolation refuses a user or database whose transactions are not READ COMMITTED by default: the engine would answer
// every change with TR009 (contract, section 13).
func checkIsolation(ctx context.Context, conn *pgx.Conn) error {
	var level string
	if err := conn.QueryRow(ctx, "select current_setting('default_transaction_isolation')").Scan(&level); err != nil {
		return fmt.Errorf("read the transaction isolation: %w", err)
	}
	if level != "read committed" {
		return fmt.Errorf("default_transaction_isolation is %q for this user and database, it must be \"read committed\": "+
			"alter role … or alter database … reset default_transaction_isolation", level)
	}
	return nil
}

// waitForDatabase connects, again and again until the startup timeout.
func waitForDatabase(ctx context.Context, c config.Database, log *slog.Logger) (*pgx.Conn, error) {
	deadline := time.Now().Add(c.StartupTimeout())
	for told := false; ; told = true {
		tryCtx, cancel := context.WithTimeout(ctx, connectTimeout)
		conn, err := pgx.Connect(tryCtx, c.Direct())
		cancel()
		var parseErr *pgconn.ParseConfigError
		switch {
		case err == nil:
			return conn, nil
		case errors.As(err, &parseErr):
			return nil, fmt.Errorf("DATABASE_URL: %w", err)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !time.Now().Before(deadline):
			return nil, fmt.Errorf("the database did not answer within DATABASE_STARTUP_TIMEOUT_SECS = %d: %w", c.DatabaseStartupTimeoutSecs, err)
		}
		if !told {
			log.Info("waiting for the database", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(connectPause):
		}
	}
}

// denied reports whether the database said that this user lacks a right.
func denied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}
