package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/migrate"
)

// errOlder means that somebody else has to migrate.
var errOlder = errors.New("the database is not migrated")

// prepareDatabase waits for the database and brings it to this program's schema. A role without the right to migrate goes
// on when the schema fits. It reports whether this process may claim: not on a schema of a newer version.
func prepareDatabase(ctx context.Context, c config.Database, log *slog.Logger) (claims bool, err error) {
	conn, err := connect.Wait(ctx, c.DirectSetting(), c.Direct(), c.StartupTimeout(), log)
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
		log.Warn("roles are missing: whoever may create roles runs these statements; then the next start of serve by the owner "+
			"of the schema, or \"taskrunner migrate\", grants the roles their rights", "statements", result.RoleStatements)
	}
	return result.Outcome != migrate.DatabaseNewer, nil
}

// reachPool waits for the database as the pool will reach it: a wrong DATABASE_URL would show only in the pool's tries, which go
// on for long, and prepared statements that get lost on the way only in errors of requests.
func reachPool(ctx context.Context, c config.Config, log *slog.Logger) error {
	err := connect.WaitForPool(ctx, c.DatabaseURL, c.PoolPreparedStatements.On(), c.StartupTimeout(), log)
	if errors.Is(err, connect.ErrStatements) {
		return fmt.Errorf("POOL_PREPARED_STATEMENTS must be 0: %w", err)
	}
	return err
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

// denied reports whether the database said that this user lacks a right.
func denied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}
