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
	config.Database
	config.Log
}

// acquireTimeout bounds a try to get a connection to a database that was reached a moment ago.
const acquireTimeout = 30 * time.Second

// Run prints what is broken, a line each, and fails if anything is.
func (c *checkCmd) Run(ctx context.Context) error {
	log := newLogger(os.Stderr, c.Log)
	warnUnread(log)
	if err := errors.Join(c.Database.Check(), c.Log.Check()); err != nil {
		return err
	}
	if err := reach(ctx, "DATABASE_URL", c.DatabaseURL, c.Database, log); err != nil {
		return err
	}
	s, err := store.Open(ctx, c.DatabaseURL, store.Options{
		MaxConns: 1, AcquireTimeout: acquireTimeout, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer s.Close()
	broken, err := s.CheckInvariants(ctx)
	if err != nil {
		return explain(err)
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

// explain says what to do about a database that does not let itself be checked.
func explain(err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err
	}
	switch pgErr.Code {
	case "3F000", "42883": // no such schema, no such function
		return fmt.Errorf("the database is not migrated: run \"taskrunner migrate\" (%w)", pgErr)
	case "42501":
		return fmt.Errorf("this user may not check the database: grant taskrunner_admin to it (%w)", pgErr)
	}
	return err
}
