package chores

import (
	"context"
	"log/slog"
	"time"

	"github.com/taskrunner/taskrunner/internal/outage"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// retentionRetry is when the turn is asked for again after an error.
	retentionRetry = 10 * time.Second
	// pruneTimeout bounds a chunk of retention. Nobody waits for it, and a single task can have a million links.
	pruneTimeout = 10 * time.Minute
	// shortestTurn keeps replicas whose clocks differ from asking again and again.
	shortestTurn = 50 * time.Millisecond
)

// Retention removes what ended long ago.
type Retention struct {
	Days  int           // 0: whatever has ended
	Every time.Duration // between the beginnings of two runs, all replicas together
	Chunk int           // how many tasks a transaction looks at
	// Removed is told of each chunk, Ran of each run that came to an end. Either may be nil.
	Removed func(tasks int64)
	Ran     func(err error, took time.Duration)
}

// retain has a run in each interval, unless another replica has it. The first comes after a whole interval, so that whoever
// switched it on by mistake has time to notice.
func (r *Chores) retain(ctx context.Context, c Retention) {
	trouble := outage.New(r.log, "retention")
	for wait := c.Every; sleep(ctx, max(wait, shortestTurn)); {
		ours, again, err := r.store.BeginPrune(ctx, c.Every)
		wait = again
		if ours {
			began := time.Now()
			err = r.prune(ctx, c)
			wait = c.Every - time.Since(began)
		} else if err != nil {
			wait = min(retentionRetry, c.Every)
		}
		switch {
		case err == nil:
			trouble.Worked()
		case ctx.Err() == nil:
			trouble.Failed(err)
		}
	}
}

// prune is one run: chunk after chunk, until nothing is left. What was removed before an error, or the end of ctx, stays so.
func (r *Chores) prune(ctx context.Context, c Retention) error {
	began := time.Now()
	var total task.Pruned
	var chunk []byte
	var err error
	for {
		var removed task.Pruned
		removed, chunk, err = r.pruneChunk(ctx, c, chunk)
		total.Add(removed)
		if c.Removed != nil {
			c.Removed(removed.Tasks)
		}
		if err != nil || chunk == nil || !sleep(ctx, chunkPause) {
			break
		}
	}
	level := slog.LevelDebug
	if total.Tasks > 0 {
		level = slog.LevelInfo
	}
	took := time.Since(began)
	r.log.Log(ctx, level, "retention removed what ended long ago", "days", c.Days, "batches", total.Batches, "tasks", total.Tasks,
		"deliveries", total.Deliveries, "attempts", total.Attempts, "took", took.Round(time.Millisecond))
	if c.Ran != nil && ctx.Err() == nil {
		c.Ran(err, took)
	}
	return err
}

func (r *Chores) pruneChunk(ctx context.Context, c Retention, chunk []byte) (task.Pruned, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	return r.store.Prune(ctx, c.Days, c.Chunk, chunk)
}
