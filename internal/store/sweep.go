package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
)

// SweepActive looks at up to limit active tasks that are due: Running ones without a sign of life time out, claims older
// than claimTimeout go back. It returns how many it looked at; limit means that there may be more.
func (s *Store) SweepActive(ctx context.Context, limit int, claimTimeout time.Duration) (int, error) {
	const op = "sweep active tasks"
	args := db.SweepActiveParams{Most: clampInt32(int64(limit)), ClaimTimeoutSecs: wholeSeconds(claimTimeout)}
	var row db.SweepActiveRow
	err := s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.SweepActive(ctx, conn, args)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.transitions(op, row.Counts)
	return int(row.LookedAt), nil
}

// SweepReplicas takes up to limit claims back from replicas that were silent for longer than silence, and returns how
// many; limit means that there may be more.
func (s *Store) SweepReplicas(ctx context.Context, limit int, silence time.Duration) (int, error) {
	const op = "sweep replicas"
	args := db.SweepReplicasParams{Most: clampInt32(int64(limit)), SilenceSecs: wholeSeconds(silence)}
	var row db.SweepReplicasRow
	err := s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.SweepReplicas(ctx, conn, args)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.transitions(op, row.Counts)
	return int(row.Requeued), nil
}

// ReleaseScheduled makes up to limit tasks ready whose run_at has come, and returns how many; limit means that there
// may be more.
func (s *Store) ReleaseScheduled(ctx context.Context, limit int) (int, error) {
	var released int32
	err := s.do(ctx, call{op: "release scheduled tasks", idempotent: true, pool: s.work},
		func(ctx context.Context, conn *pgxpool.Conn) (err error) {
			released, err = s.queries.ReleaseScheduled(ctx, conn, clampInt32(int64(limit)))
			return err
		})
	return int(released), err
}

// DrainDeadEnds examines about limit tasks of which a child has ended, and cancels those whose children all have. It returns
// how many it examined; limit or more means that there may be more.
func (s *Store) DrainDeadEnds(ctx context.Context, limit int) (int, error) {
	const op = "drain dead ends"
	var row db.DrainDeadEndsRow
	err := s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.DrainDeadEnds(ctx, conn, clampInt32(int64(limit)))
		return err
	})
	if err != nil {
		return 0, err
	}
	s.transitions(op, row.Counts)
	return int(row.Examined), nil
}

// DeleteIdempotencyKeys removes up to limit Idempotency-Keys older than life, and returns how many; limit means that
// there may be more.
func (s *Store) DeleteIdempotencyKeys(ctx context.Context, limit int, life time.Duration) (int, error) {
	args := db.DeleteIdempotencyKeysParams{Most: clampInt32(int64(limit)), LifeSecs: wholeSeconds(life)}
	var deleted int32
	err := s.do(ctx, call{op: "delete idempotency keys", idempotent: true, pool: s.work},
		func(ctx context.Context, conn *pgxpool.Conn) (err error) {
			deleted, err = s.queries.DeleteIdempotencyKeys(ctx, conn, args)
			return err
		})
	return int(deleted), err
}
