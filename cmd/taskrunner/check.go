package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/store"
)

// checkCmd runs check_invariants. The user needs taskrunner_admin, or to own the schema. It reads every row: minutes on a
// large database, but it locks nothing.
type checkCmd struct {
	config.File
	config.Database
	config.Log
}

// acquireTimeout bounds a try to get a connection to a database that was reached a moment ago.
const acquireTimeout = 30 * time.Second

// Run prints what is broken, a line each, and fails if anything is.
func (c *checkCmd) Run(ctx context.Context) error {
	s, err := openOnce(ctx, c.File, c.Database, c.Log)
	if err != nil {
		return err
	}
	defer s.Close()
	broken, err := s.CheckInvariants(ctx)
	if err != nil {
		return explain(err, "check the database", "taskrunner_admin")
	}
	for _, v := range broken {
		fmt.Printf("%s: %s\n", v.Invariant, v.Detail)
	}
	if n := len(broken); n > 0 {
		return fmt.Errorf("broken invariants: %d", n)
	}
	fmt.Println("all invariants hold")
	return nil
}

// openOnce opens the database of a command that asks it something and ends.
func openOnce(ctx context.Context, f config.File, d config.Database, l config.Log) (*store.Store, error) {
	log := newLogger(os.Stderr, l)
	if err := f.Locate(errors.Join(d.Check(), l.Check())); err != nil {
		return nil, err
	}
	if err := reach(ctx, "DATABASE_URL", d.DatabaseURL, d, log); err != nil {
		return nil, err
	}
	return store.Open(ctx, d.DatabaseURL, store.Options{
		MaxConns: 1, AcquireTimeout: acquireTimeout, Log: slog.New(slog.DiscardHandler),
	})
}

// explain says what to do about a database that does not let itself be asked, by a user without the role.
func explain(err error, what, role string) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err
	}
	switch pgErr.Code {
	case "3F000", "42883": // no such schema, no such function
		return fmt.Errorf("the database is not migrated: run \"taskrunner migrate\" (%w)", pgErr)
	case "42501":
		return fmt.Errorf("this user may not %s: grant %s to it (%w)", what, role, pgErr)
	case "TR002":
		return errors.New(pgErr.Message)
	}
	return err
}
