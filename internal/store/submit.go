package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
)

// Submit creates the graph that body describes (POST /task) as one batch of the given id, in the trace of ctx, and returns its tasks in
// request order; none when there was nothing to create, and then there is no batch either. body must be JSON that
// PostgreSQL can hold; everything else about it is judged by the engine.
// Errors: CodeInvalid with details, CodeTooMany, CodeBusy, CodeUnavailable.
func (s *Store) Submit(ctx context.Context, batchID uuid.UUID, body []byte) ([]task.Task, error) {
	var created db.SubmitRow
	var tasks []task.Task
	err := s.do(ctx, call{op: "submit", patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounds{lock: lockWait, lookups: true, traceparent: tracing.Traceparent(ctx)}.begin()
		one(batch, &created, db.Submit, batchID, body)
		batchTasks(batch, &tasks, batchID)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return nil, err
	}
	s.created("submit", created.Counts)
	return tasks, nil
}

// SubmitFaults returns the error that lists all that is wrong with the body of a Submit, of which the caller knows a part:
// values that PostgreSQL cannot hold. body has others in their places. Nothing is created.
// Errors: CodeInvalid with details, CodeTooMany, CodeUnavailable.
func (s *Store) SubmitFaults(ctx context.Context, body []byte, known []task.Fault) error {
	const op = "submit faults"
	faults, err := encode(known)
	if err != nil {
		return mapError(op, err)
	}
	err = s.do(ctx, call{op: op, reads: true, patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		batch.Queue(db.ValidGraph, body, faults)
		return send(ctx, conn, batch)
	})
	if err == nil {
		return mapError(op, errors.New("the engine found no fault"))
	}
	return err
}

// SubmitOnce is Submit for a request with an Idempotency-Key: what the key stands for already is not created again, but
// read. A request that uses the same key at this moment is waited for, a short while at a time, so that those who wait do
// not keep the connections; and the body is sent only when the key is ours.
// Errors: those of Submit, and CodeKeyReused when the key belongs to another body.
func (s *Store) SubmitOnce(
	ctx context.Context, key task.IdempotencyKey, batchID uuid.UUID, body []byte,
) (task.Submitted, error) {
	const op = "submit once"
	var held db.TakeIdempotencyKeyRow
	var created db.SubmitRow
	var tasks []task.Task
	f := func(ctx context.Context, tx pgx.Tx) error {
		take := bounds{lock: lockWait, lookups: true, traceparent: tracing.Traceparent(ctx)}.begin()
		one(take, &held, db.TakeIdempotencyKey, key.TokenName, key.Key, key.BodyHash[:], batchID, wholeSeconds(key.Life))
		if err := send(ctx, tx, take); err != nil {
			return err
		}
		read := &pgx.Batch{}
		if held.Taken {
			one(read, &created, db.Submit, batchID, body)
		} else if !bytes.Equal(held.BodyHash, key.BodyHash[:]) {
			return &task.Error{Code: task.CodeKeyReused, Message: "this Idempotency-Key was used with another body"}
		}
		batchTasks(read, &tasks, held.BatchID)
		if err := send(ctx, tx, read); err != nil {
			return err
		}
		if held.Taken && len(tasks) == 0 {
			_, err := tx.Exec(ctx, db.NoteNothingCreated, key.TokenName, key.Key)
			held.Status = statusNothing
			return err
		}
		return nil
	}
	// With a key a call may be repeated whose outcome nobody knows: it finds its own batch then.
	err := s.do(ctx, call{op: op, patience: patience, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return f(ctx, tx) })
	})
	if err != nil {
		return task.Submitted{}, err
	}
	if held.Taken {
		s.created(op, created.Counts)
	}
	return task.Submitted{
		BatchID: held.BatchID, Tasks: tasks, Nothing: held.Status == statusNothing, Replayed: held.BatchID != batchID,
	}, nil
}

// created hands on what the engine has counted of new tasks. Their changes are left out: whoever asked for the tasks gets them as they
// are now.
func (s *Store) created(op, counts string) {
	c, err := parseCounts(counts)
	if err != nil {
		s.log.Error("new tasks cannot be counted", "operation", op, "error", err)
	}
	s.options.Observer.Counted(task.Counts{Linked: c.Linked})
}

// statusNothing is what idempotency_key.status holds for a request that created nothing.
const statusNothing = 204

// batchTasks adds the query for the tasks that a request created. Each row is made a task when it comes, while the database
// makes the next one.
func batchTasks(batch *pgx.Batch, dst *[]task.Task, batchID uuid.UUID) {
	batch.Queue(db.BatchTasks, batchID).Query(func(rows pgx.Rows) (err error) {
		*dst, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (task.Task, error) {
			r, err := pgx.RowToStructByPos[db.BatchTasksRow](row)
			if err != nil {
				return task.Task{}, err
			}
			return fullTask(db.FullTaskRow(r))
		})
		return err
	})
}
