package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Task returns a task. Errors: CodeUnknown, CodeUnavailable.
func (s *Store) Task(ctx context.Context, id uuid.UUID) (task.Task, error) {
	const op = "task"
	var row db.FullTaskRow
	err := s.do(ctx, call{op: op, reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.FullTask(ctx, conn, id)
		return found(err, unknownTask(id))
	})
	if err != nil {
		return task.Task{}, err
	}
	t, err := fullTask(row)
	return t, mapError(op, err)
}

// BlockedBy returns the rules that hold a Pending task, as the JSON array of contract section 7.4, or null when none does.
// Errors: CodeUnavailable.
func (s *Store) BlockedBy(ctx context.Context, id uuid.UUID) (blocks json.RawMessage, err error) {
	err = s.do(ctx, call{op: "blocked by", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		blocks, err = s.queries.BlockedBy(ctx, conn, id)
		return err
	})
	return blocks, err
}

// Batch returns a batch with the sums over its tasks. Errors: CodeUnknown, CodeUnavailable.
func (s *Store) Batch(ctx context.Context, id uuid.UUID) (task.Batch, error) {
	var row db.BatchRow
	err := s.do(ctx, call{op: "batch", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.reading()
		one(batch, &row, db.Batch, id)
		return found(send(ctx, conn, batch), unknownBatch(id))
	})
	if err != nil {
		return task.Batch{}, err
	}
	b := task.Batch{
		BatchID:       row.ID,
		BatchName:     row.Name,
		BatchMetadata: row.Metadata,
		DeadEndCancel: row.DeadEndCancel,
		CreatedAt:     row.CreatedAt.UTC(),
		TotalTasks:    row.TotalTasks,
		TotalSuccess:  row.TotalSuccess,
		TotalFailures: row.TotalFailures,
		StatusCounts: task.StatusCounts{
			Waiting:  row.Waiting,
			Pending:  row.Pending,
			Claimed:  row.Claimed,
			Running:  row.Running,
			Success:  row.Success,
			Failure:  row.Failure,
			Paused:   row.Paused,
			Canceled: row.Canceled,
		},
	}
	if row.TotalExpected >= 0 {
		b.TotalExpected = &row.TotalExpected
	}
	return b, nil
}

// Graph returns the tasks of a batch and their links. Errors: CodeUnknown, CodeUnavailable.
func (s *Store) Graph(ctx context.Context, batchID uuid.UUID) (task.Graph, error) {
	var known struct{ Exists bool }
	var links []db.BatchLinksRow
	var tasks []db.BasicTasksRow
	err := s.do(ctx, call{op: "graph", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.reading()
		one(batch, &known, db.BatchExists, batchID)
		// Links before tasks: whatever is linked inside the batch by then is among the tasks read later.
		many(batch, &links, db.BatchLinks, batchID)
		many(batch, &tasks, db.BasicTasks, batchID)
		if err := send(ctx, conn, batch); err != nil {
			return err
		}
		if !known.Exists {
			return unknownBatch(batchID)
		}
		return nil
	})
	if err != nil {
		return task.Graph{}, err
	}
	g := task.Graph{Tasks: make([]task.Basic, 0, len(tasks)), Links: []task.Link{}, ExternalLinks: []task.Link{}}
	for _, row := range tasks {
		g.Tasks = append(g.Tasks, basicTask(row))
	}
	for _, row := range links {
		link := task.Link{ParentID: row.ParentID, ChildID: row.ChildID, RequiresSuccess: row.RequiresSuccess}
		if row.Inside {
			g.Links = append(g.Links, link)
		} else {
			g.ExternalLinks = append(g.ExternalLinks, link)
		}
	}
	return g, nil
}

// Violation is a row that breaks a rule of the engine.
type Violation struct{ Invariant, Detail string }

// CheckInvariants returns what is broken, nothing when the database is healthy. It needs the role taskrunner_admin and
// reads everything.
func (s *Store) CheckInvariants(ctx context.Context) ([]Violation, error) {
	var broken []Violation
	err := s.do(ctx, call{op: "check invariants", reads: true, long: true, idempotent: true},
		func(ctx context.Context, conn *pgxpool.Conn) error {
			rows, err := s.queries.CheckInvariants(ctx, conn)
			broken = make([]Violation, 0, len(rows))
			for _, row := range rows {
				broken = append(broken, Violation(row))
			}
			return err
		})
	return broken, err
}

// Why returns what keeps a task from running. Whoever may read tasks may ask. Errors: CodeUnknown, CodeUnavailable.
func (s *Store) Why(ctx context.Context, id uuid.UUID) ([]task.Reason, error) {
	var reasons []task.Reason
	err := s.do(ctx, call{op: "why", reads: true, idempotent: true},
		func(ctx context.Context, conn *pgxpool.Conn) error {
			rows, err := s.queries.Why(ctx, conn, id)
			reasons = make([]task.Reason, 0, len(rows))
			for _, row := range rows {
				reasons = append(reasons, task.Reason{Sentence: row.Reason, Detail: json.RawMessage(row.Detail)})
			}
			return err
		})
	return reasons, err
}

func unknownBatch(id uuid.UUID) error {
	return &task.Error{Code: task.CodeUnknown, Message: fmt.Sprintf("batch %s: unknown batch", id)}
}
