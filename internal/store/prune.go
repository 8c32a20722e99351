package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// BeginPrune reports whether it is the caller's turn to remove what is old, which nobody else gets for the interval; if not, it
// returns after which time to ask again.
func (s *Store) BeginPrune(ctx context.Context, interval time.Duration) (ours bool, again time.Duration, err error) {
	var secs float64
	// Repeated after a loss it finds its own turn taken, and the run is left out: the next one removes more.
	err = s.do(ctx, call{op: "begin retention", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		secs, err = s.queries.BeginPrune(ctx, conn, wholeSeconds(interval))
		return err
	})
	return err == nil && secs <= 0, time.Duration(secs * float64(time.Second)), err
}

// Prune removes one chunk of what ended more than days ago, looking at up to limit tasks. chunk is nil at first and then what the
// chunk before returned as next; nil there means that it was the last one. A chunk that somebody stands in the way of is tried
// again for some seconds, and then CodeBusy.
func (s *Store) Prune(ctx context.Context, days, limit int, chunk []byte) (removed task.Pruned, next []byte, err error) {
	args := db.PruneParams{Days: clampInt32(int64(days)), Most: clampInt32(int64(limit)), Chunk: chunk}
	var row db.PruneRow
	// A chunk that is repeated after a loss finds its tasks gone: they are not counted then.
	err = s.do(ctx, call{op: "prune", idempotent: true, pool: s.work, patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.Prune(ctx, conn, args)
		return err
	})
	if err != nil {
		return task.Pruned{}, nil, err
	}
	return task.Pruned{
		Batches: int64(row.Batches), Tasks: int64(row.Tasks), Deliveries: int64(row.Deliveries), Attempts: row.Attempts,
	}, row.Next, nil
}

// PrunePreview returns what Prune would remove now, all chunks together. It writes and locks nothing.
func (s *Store) PrunePreview(ctx context.Context, days int) (task.Pruned, error) {
	var row db.PrunePreviewRow
	err := s.do(ctx, call{op: "preview prune", reads: true, long: true, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
			row, err = s.queries.PrunePreview(ctx, tx, clampInt32(int64(days)))
			return err
		})
	})
	if err != nil {
		return task.Pruned{}, err
	}
	return task.Pruned{Batches: row.Batches, Tasks: row.Tasks, Deliveries: row.Deliveries, Attempts: row.Attempts}, nil
}
