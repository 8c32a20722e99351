package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Cancel cancels a task (DELETE) and returns it.
// Errors: CodeUnknown, CodeState (it has ended), CodeBusy, CodeUnavailable.
func (s *Store) Cancel(ctx context.Context, id uuid.UUID) (task.Task, error) {
	return s.act(ctx, "cancel", db.CancelTask, id)
}

// Pause holds a task and returns it. Errors: CodeUnknown, CodeState (ended or paused), CodeBusy, CodeUnavailable.
func (s *Store) Pause(ctx context.Context, id uuid.UUID) (task.Task, error) {
	return s.act(ctx, "pause", db.PauseTask, id)
}

// Resume lets a paused task go on and returns it. Errors: CodeUnknown, CodeState (not paused), CodeBusy, CodeUnavailable.
func (s *Store) Resume(ctx context.Context, id uuid.UUID) (task.Task, error) {
	return s.act(ctx, "resume", db.ResumeTask, id)
}

// act runs a statement about one task, and reads the task in the same transaction.
func (s *Store) act(ctx context.Context, op, statement string, id uuid.UUID) (task.Task, error) {
	var counts struct{ Text string }
	var rows []db.FullTaskRow
	err := s.do(ctx, call{op: op, patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		batch.Queue(db.BeginCounts)
		batch.Queue(statement, id)
		many(batch, &rows, db.FullTask, id)
		one(batch, &counts, db.TakeCounts)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return task.Task{}, err
	}
	s.counted(op, counts.Text)
	return onlyTask(op, id, rows)
}

// StopBatch cancels every task of a batch that has not ended. Errors: CodeUnknown, CodeBusy, CodeUnavailable.
func (s *Store) StopBatch(ctx context.Context, id uuid.UUID) (task.Stopped, error) {
	const op = "stop batch"
	var counts struct{ Text string }
	var row db.StopBatchRow
	err := s.do(ctx, call{op: op, patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		batch.Queue(db.BeginCounts)
		one(batch, &row, db.StopBatch, id)
		one(batch, &counts, db.TakeCounts)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return task.Stopped{}, err
	}
	s.counted(op, counts.Text)
	return task.Stopped(row), nil
}

// SetBatchRules gives every task of a batch and kind that has not ended new rules, and returns how many there are. body
// is that of PATCH /batch/{batch_id}/rules, an object that PostgreSQL can hold; the engine judges the rest.
// Errors: CodeInvalid with details, CodeUnknown, CodeBusy, CodeUnavailable.
func (s *Store) SetBatchRules(ctx context.Context, id uuid.UUID, body []byte) (int64, error) {
	var updated struct{ Count int64 }
	err := s.do(ctx, call{op: "set batch rules", patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		one(batch, &updated, db.ChangeBatchRules, id, body)
		return send(ctx, conn, batch)
	})
	return updated.Count, err
}
