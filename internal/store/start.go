package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// StartTasks settles on_start calls that were delivered: their tasks are Running, if they are still Claimed. A task may
// occur once. Repeated when the connection is lost, which can only log a try twice. CodeBusy: somebody holds one of the
// tasks; others in a group of their own may go through. It returns the cancel actions that are invalid.
func (s *Store) StartTasks(ctx context.Context, tries []task.StartTry) (refused []task.RefusedAction, err error) {
	if len(tries) == 0 {
		return nil, nil
	}
	const op = "start tasks"
	items, err := startTries(tries, false)
	if err != nil {
		return nil, mapError(op, err)
	}
	var rows []db.StartTasksRow
	err = s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		many(batch, &rows, db.StartTasks, items)
		return send(ctx, conn, batch)
	})
	if err == nil {
		s.options.Observer.Settled("start", int64(len(tries)), 0)
		if len(rows) > 0 {
			s.counted(op, rows[0].Counts) // each row has them all
		}
	}
	for _, row := range rows {
		if row.Refused != "" {
			refused = append(refused, task.RefusedAction{TaskID: row.TaskID, Fault: row.Refused})
		}
	}
	return refused, err
}

// FailStarts settles on_start calls that failed, for the tasks that the same claim of the same replica still holds. A
// task may occur once. backoff is the base of the pause before the next try. CodeBusy as for StartTasks.
func (s *Store) FailStarts(ctx context.Context, replica uuid.UUID, tries []task.StartTry, backoff time.Duration) error {
	if len(tries) == 0 {
		return nil
	}
	const op = "fail starts"
	items, err := startTries(tries, true)
	if err != nil {
		return mapError(op, err)
	}
	var counts []struct{ Text string }
	err = s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		many(batch, &counts, db.FailStarts, replica, items, clampInt32(backoff.Milliseconds()))
		return send(ctx, conn, batch)
	})
	if err == nil && len(counts) > 0 {
		s.counted(op, counts[0].Text)
	}
	return err
}

func startTries(tries []task.StartTry, failed bool) ([]byte, error) {
	items := make([]startTry, 0, len(tries))
	for _, t := range tries {
		items = append(items, startTry{
			TaskID:         t.Claim.TaskID,
			Attempt:        t.Claim.Attempt,
			ClaimedAt:      t.Claim.ClaimedAt.UTC(),
			Permanent:      t.Permanent,
			RetryAfterSecs: t.RetryAfter.Seconds(),
			CancelAction:   t.CancelAction,
			loggedTry:      newLoggedTry(t.Try, failed),
		})
	}
	return encode(items)
}
