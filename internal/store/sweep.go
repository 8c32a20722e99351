package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
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
	s.counted(op, row.Counts)
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
	s.counted(op, row.Counts)
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
	s.counted(op, row.Counts)
	return int(row.Examined), nil
}

// RegisterShape begins to count a shape that a rule names for the first time, unless somebody holds a task of that kind, and
// reports whether one was due.
func (s *Store) RegisterShape(ctx context.Context) (bool, error) {
	var due bool
	err := s.do(ctx, call{op: "register shape", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		due, err = s.queries.RegisterShape(ctx, conn)
		return err
	})
	return due, err
}

// DropShape ceases to count a shape that nobody has used for long, unless somebody holds a task of that kind, and reports whether
// one was due.
func (s *Store) DropShape(ctx context.Context) (bool, error) {
	var due bool
	err := s.do(ctx, call{op: "drop shape", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		due, err = s.queries.DropShape(ctx, conn)
		return err
	})
	return due, err
}

// WakeLimits looks for a replica at up to limit limits that may have room for parked tasks. Other replicas hear only of more than room
// tasks: so many it starts itself.
func (s *Store) WakeLimits(ctx context.Context, replica uuid.UUID, limit, room int) (task.Woken, error) {
	var row db.WakeLimitsRow
	err := s.do(ctx, call{op: "wake limits", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.WakeLimits(ctx, conn, db.WakeLimitsParams{Most: clampInt32(int64(limit)), Replica: replica, Room: clampInt32(int64(room))})
		return err
	})
	return task.Woken{Limits: int(row.LookedAt), Tasks: int(row.Unparked), Idle: row.Idle}, err
}

// RecheckLimits makes parked tasks ready for which progress has made room, and with all also those that were forgotten: there are
// none, so repaired must stay 0.
func (s *Store) RecheckLimits(ctx context.Context, all bool) (repaired, progressed int, err error) {
	var row db.RecheckLimitsRow
	err = s.do(ctx, call{op: "recheck limits", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.RecheckLimits(ctx, conn, all)
		return err
	})
	return int(row.Repaired), int(row.Progressed), err
}

// DeleteGates forgets up to limit gates at which no task waits.
func (s *Store) DeleteGates(ctx context.Context, limit int) (int, error) {
	var deleted int32
	err := s.do(ctx, call{op: "delete gates", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		deleted, err = s.queries.DeleteGates(ctx, conn, clampInt32(int64(limit)))
		return err
	})
	return int(deleted), err
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
