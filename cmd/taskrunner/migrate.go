package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/migrate"
)

// migrateCmd brings the database to this version.
type migrateCmd struct {
	config.Database
	config.Log
}

// Run says what was done.
func (c *migrateCmd) Run(ctx context.Context) error {
	if err := errors.Join(c.Database.Check(), c.Log.Check()); err != nil {
		return err
	}
	result, err := migrate.Up(ctx, c.Direct(), newLogger(c.Log))
	if err != nil {
		return err
	}
	fmt.Println(result)
	for _, statement := range result.RoleStatements {
		fmt.Println("a role is missing; whoever may create roles runs:", statement)
	}
	if result.Outcome == migrate.DatabaseNewer {
		return errors.New("the database belongs to a newer version")
	}
	return nil
}
