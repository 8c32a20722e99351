package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/migrate"
)

// migrateCmd brings the database to this version.
type migrateCmd struct {
	config.File
	config.Database
	config.Log
}

// Run waits for the database and says what was done.
func (c *migrateCmd) Run(ctx context.Context) error {
	log := newLogger(os.Stderr, c.Log)
	if err := c.Locate(errors.Join(c.Database.Check(), c.Log.Check())); err != nil {
		return err
	}
	if err := reach(ctx, c.DirectSetting(), c.Direct(), c.Database, log); err != nil {
		return err
	}
	result, err := migrate.Up(ctx, c.Direct(), log)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == "42501":
		return fmt.Errorf("this user may not migrate the database: run it as the owner of its schema taskrunner or, "+
			"where there is none yet, as who may create schemas (%w)", err)
	case err != nil:
		return err
	}
	fmt.Print(report(result))
	if result.Outcome == migrate.DatabaseNewer {
		return errors.New("the database belongs to a newer version")
	}
	return nil
}

// report is what the command prints.
func report(r migrate.Result) string {
	if len(r.RoleStatements) == 0 {
		return r.String() + "\n"
	}
	return r.String() + "\nRoles are missing that this user may not create. Whoever may, a superuser for instance, runs:\n  " +
		strings.Join(r.RoleStatements, "\n  ") + `
Then the owner of the schema runs "taskrunner migrate" again, which grants the roles their rights; the next start of
"taskrunner serve" as the owner does it too.
`
}

// reach waits until the database takes a connection.
func reach(ctx context.Context, setting, dsn string, c config.Database, log *slog.Logger) error {
	conn, err := connect.Wait(ctx, setting, dsn, c.StartupTimeout(), log)
	if err != nil {
		return err
	}
	if err := conn.Close(ctx); err != nil {
		log.Debug("close a connection", "error", err)
	}
	return nil
}
