package store

import (
	"context"
	"strconv"
	"time"

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
				Replica:    p.Replica,
				Name:       storable(p.Name),
				Version:    storable(p.Version),
				FreeSlots:  clampInt32(int64(p.FreeSlots)),
				IdleChores: p.IdleChores,
				HeldHosts:  held,
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

// FallAsleep stamps a loop of a replica (notify.Start, notify.Deliver) as asleep, unless it is, and says whether everybody knows. horizon is
// what it said last, "" at first.
func (s *Store) FallAsleep(ctx context.Context, replica uuid.UUID, loop string, horizon string) (told task.Sleep, err error) {
	err = s.do(ctx, call{op: "fall asleep", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		row, err := s.queries.FallAsleep(ctx, conn, db.FallAsleepParams{Replica: replica, Loop: loop, Horizon: horizon})
		told = task.Sleep{Stood: row.Stood, Horizon: row.Horizon, Quiet: row.Quiet}
		return err
	})
	return told, err
}

// StayAwake takes the stamp back.
func (s *Store) StayAwake(ctx context.Context, replica uuid.UUID, loop string) error {
	return s.do(ctx, call{op: "stay awake", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		return s.queries.StayAwake(ctx, conn, db.StayAwakeParams{Replica: replica, Loop: loop})
	})
}

// gaugesTimeout is how long the database may count for the metrics.
const gaugesTimeout = 4 * time.Second

// Gauges reads what the metrics show of the database.
func (s *Store) Gauges(ctx context.Context) (list []task.Gauge, err error) {
	var rows []db.ReadGaugesRow
	err = s.do(ctx, call{op: "read gauges", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounds{lock: lockWait, work: strconv.FormatInt(gaugesTimeout.Milliseconds(), 10)}.begin()
		many(batch, &rows, db.ReadGauges)
		return send(ctx, conn, batch)
	})
	for _, row := range rows {
		list = append(list, task.Gauge{Metric: row.Gauge, First: row.Label, Second: row.SecondLabel, Value: row.Value})
	}
	return list, err
}

// Leave says that a replica has stopped: what it still holds goes back to the others.
func (s *Store) Leave(ctx context.Context, replica uuid.UUID) error {
	return s.do(ctx, call{op: "leave", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		return s.queries.Leave(ctx, conn, replica)
	})
}
