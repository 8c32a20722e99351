package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Pulse writes that a replica lives and which of its loops sleep, and returns what there is to do. It has a connection
// of its own, so that a busy pool does not make a replica look dead.
func (s *Store) Pulse(ctx context.Context, p task.Pulse) (task.Agenda, error) {
	held, err := encode(append([]task.HeldHost{}, p.HeldHosts...)) // never null
	if err != nil {
		return task.Agenda{}, mapError("pulse", err)
	}
	var row db.TickRow
	err = s.do(ctx, call{op: "pulse", idempotent: true, pool: s.pulse},
		func(ctx context.Context, conn *pgxpool.Conn) (err error) {
			row, err = s.queries.Tick(ctx, conn, db.TickParams{
				Replica:     p.Replica,
				Name:        storable(p.Name),
				Version:     storable(p.Version),
				FreeSlots:   clampInt32(int64(p.FreeSlots)),
				IdleStart:   p.IdleStart,
				IdleDeliver: p.IdleDeliver,
				IdleChores:  p.IdleChores,
				HeldHosts:   held,
			})
			return err
		})
	if err != nil {
		return task.Agenda{}, err
	}
	return task.Agenda{
		DueChores:  row.DueChores,
		NextDueAt:  optional(row.NextDueAt),
		Ready:      row.Ready,
		Deliveries: row.Deliveries,
	}, nil
}

// CountParked counts Pending tasks that cannot start.
func (s *Store) CountParked(ctx context.Context) (parked task.Parked, err error) {
	err = s.do(ctx, call{op: "count parked tasks", idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		row, err := s.queries.CountParked(ctx, conn)
		parked = task.Parked{ByRule: row.ByRule, ByRunAt: row.ByRunAt, ByHost: row.ByHost}
		return err
	})
	return parked, err
}

// Leave says that a replica has stopped: what it still holds goes back to the others.
func (s *Store) Leave(ctx context.Context, replica uuid.UUID) error {
	return s.do(ctx, call{op: "leave", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		return s.queries.Leave(ctx, conn, replica)
	})
}
