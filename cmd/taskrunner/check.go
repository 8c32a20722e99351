package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/taskrunner/taskrunner/internal/config"
)

// checkCmd runs check_invariants. The user needs taskrunner_admin, or to own the schema.
type checkCmd struct {
	config.Database
}

// Run prints what is broken and fails if anything is.
func (c *checkCmd) Run(ctx context.Context) error {
	if err := c.Database.Check(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	rows, err := conn.Query(ctx, "select invariant, detail::text from taskrunner.check_invariants()")
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	var invariant, detail string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&invariant, &detail}, func() error {
		n++
		fmt.Printf("%s: %s\n", invariant, detail)
		return nil
	})
	if err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%w: %d", errBroken, n)
	}
	fmt.Println("all invariants hold")
	return nil
}
