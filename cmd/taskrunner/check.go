package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/store"
)

// checkCmd runs check_invariants. The user needs taskrunner_admin, or to own the schema. It reads every row: minutes on a
// large database, but it locks nothing.
type checkCmd struct {
	Database config.Database `embed:""`
}

// Run prints what is broken, a line each, and fails if anything is.
func (c *checkCmd) Run(ctx context.Context) error {
	if err := c.Database.Check(); err != nil {
		return err
	}
	s, err := store.Open(ctx, c.Database.DatabaseURL, store.Options{
		MaxConns: 1, AcquireTimeout: min(c.Database.StartupTimeout()+time.Second, 30*time.Second), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer s.Close()
	broken, err := s.CheckInvariants(ctx)
	if err != nil {
		return err
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
