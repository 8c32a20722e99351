package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
)

// pruneCmd removes what ended long ago, once and now, as replicas with RETENTION_ENABLED do by themselves. The user needs
// taskrunner_service, or to own the schema.
type pruneCmd struct {
	config.File
	config.Database
	config.Log
	Days      int  `name:"days" env:"RETENTION_DAYS" toml:"retention.days" default:"30" help:"Days after which it is removed; 0: whatever has ended."`
	BatchSize int  `name:"batch-size" env:"RETENTION_BATCH_SIZE" toml:"retention.batch_size" default:"1000" help:"Most tasks removed in one transaction."`
	DryRun    bool `name:"dry-run" help:"Only say what would be removed. Nothing is locked or written."`
}

// prunePause leaves the database to others between two transactions.
const prunePause = 20 * time.Millisecond

// Run prints what was, or would be, removed; after an interruption what was until then.
func (c *pruneCmd) Run(ctx context.Context, std streams) error {
	if err := c.Locate(errors.Join(c.check()...)); err != nil {
		return err
	}
	s, err := openOnce(ctx, c.File, c.Database, c.Log)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.DryRun {
		would, err := s.PrunePreview(ctx, c.Days)
		if err != nil {
			return explain(err, "look at what is old", "taskrunner_service")
		}
		printPruned(std.out, "would be removed", would)
		return nil
	}
	removed, err := c.prune(ctx, s)
	if err == nil || removed != (task.Pruned{}) {
		printPruned(std.out, "removed", removed)
	}
	switch {
	case ctx.Err() != nil:
		return &exitError{code: exitInterrupted, err: errors.New("interrupted: what is left can be removed by another run")}
	case err != nil:
		return explain(err, "remove tasks", "taskrunner_service")
	}
	return nil
}

func (c *pruneCmd) check() (errs []error) {
	if c.Days < 0 || c.Days > config.MaxRetentionDays {
		errs = append(errs, fmt.Errorf("--days (RETENTION_DAYS) must be from 0 to %d, not %d", config.MaxRetentionDays, c.Days))
	}
	if c.BatchSize < 1 || c.BatchSize > config.MaxRetentionBatch {
		errs = append(errs, fmt.Errorf("--batch-size (RETENTION_BATCH_SIZE) must be from 1 to %d, not %d", config.MaxRetentionBatch, c.BatchSize))
	}
	return errs
}

func (c *pruneCmd) prune(ctx context.Context, s *store.Store) (total task.Pruned, err error) {
	var chunk []byte
	for {
		var removed task.Pruned
		removed, chunk, err = s.Prune(ctx, c.Days, c.BatchSize, chunk)
		total.Add(removed)
		if err != nil || chunk == nil {
			return total, err
		}
		select {
		case <-ctx.Done():
			return total, ctx.Err()
		case <-time.After(prunePause):
		}
	}
}

func printPruned(out io.Writer, what string, p task.Pruned) {
	fmt.Fprintf(out, "%s: %d batches, %d tasks, %d deliveries with %d attempts\n", what, p.Batches, p.Tasks, p.Deliveries, p.Attempts)
}
