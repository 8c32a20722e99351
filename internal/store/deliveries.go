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

// replayChunk is how many deliveries one transaction of a replay looks at.
const replayChunk = 1000

// TaskDeliveries returns a page of the deliveries of a task, oldest first, with the log of their tries, and the position of its last
// row if more rows follow. Errors: CodeUnknown, CodeUnavailable.
func (s *Store) TaskDeliveries(
	ctx context.Context, taskID uuid.UUID, p task.Page,
) (list []task.LoggedDelivery, next *task.Position, err error) {
	const op = "deliveries of a task"
	var known struct{ Exists bool }
	var rows []db.TaskDeliveriesRow
	args := db.TaskDeliveriesParams{TaskID: taskID, Skip: p.Skip, Most: clampInt32(int64(p.Size) + 1)}
	if p.After != nil {
		args.AfterAt, args.AfterID = &p.After.CreatedAt, &p.After.ID
	}
	err = s.do(ctx, call{op: op, reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.reading()
		one(batch, &known, db.TaskExists, taskID)
		many(batch, &rows, db.TaskDeliveries, args.TaskID, args.AfterAt, args.AfterID, args.Skip, args.Most)
		if err := send(ctx, conn, batch); err != nil {
			return err
		}
		if !known.Exists {
			return unknownTask(taskID)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > p.Size {
		rows = rows[:p.Size]
		next = &task.Position{CreatedAt: rows[p.Size-1].CreatedAt, ID: rows[p.Size-1].ID}
	}
	for _, row := range rows {
		logged := task.LoggedDelivery{Attempts: []task.DeliveryAttempt{}}
		if row.Attempts != nil {
			if err := json.Unmarshal(row.Attempts, &logged.Attempts); err != nil {
				return nil, nil, mapError(op, fmt.Errorf("log of delivery %s: %w", row.ID, err))
			}
		}
		for i := range logged.Attempts {
			logged.Attempts[i].At = logged.Attempts[i].At.UTC()
		}
		logged.DeliveryInfo = deliveryInfo(db.TaskrunnerDelivery{
			ID: row.ID, TaskID: row.TaskID, BatchID: row.BatchID, Trigger: row.Trigger, Condition: row.Condition,
			IdempotencyKey: row.IdempotencyKey, Verb: row.Verb, Url: row.Url, Status: row.Status, TaskAttempt: row.TaskAttempt,
			Tries: row.Tries, MaxTries: row.MaxTries, NextTryAt: row.NextTryAt, CreatedAt: row.CreatedAt,
			FinishedAt: row.FinishedAt, LastStatusCode: row.LastStatusCode, LastError: row.LastError,
		})
		list = append(list, logged)
	}
	return list, next, nil
}

// Deliveries returns a page of deliveries, newest first, and the position of its last row if more rows follow.
// Errors: CodeUnavailable.
func (s *Store) Deliveries(
	ctx context.Context, f task.DeliveryFilter, p task.Page,
) (list []task.DeliveryInfo, next *task.Position, err error) {
	args := db.ListDeliveriesParams{
		Status: f.Status, Trigger: f.Trigger, TaskID: f.TaskID, BatchID: f.BatchID, Host: f.Host, Since: f.From, Until: f.To,
		Skip: p.Skip, Most: clampInt32(int64(p.Size) + 1),
	}
	if p.After != nil {
		args.AfterAt, args.AfterID = &p.After.CreatedAt, &p.After.ID
	}
	var rows []db.TaskrunnerDelivery
	err = s.do(ctx, call{op: "list deliveries", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.reading()
		many(batch, &rows, db.ListDeliveries, args.Status, args.Trigger, args.TaskID, args.BatchID, args.Host, args.Since,
			args.Until, args.AfterAt, args.AfterID, args.Skip, args.Most)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > p.Size {
		rows = rows[:p.Size]
		next = &task.Position{CreatedAt: rows[p.Size-1].CreatedAt, ID: rows[p.Size-1].ID}
	}
	for _, row := range rows {
		list = append(list, deliveryInfo(row))
	}
	return list, next, nil
}

// ReplayDelivery makes an End or Cancel delivery due now with a fresh budget of tries, and returns it.
// Errors: CodeUnknown, CodeState (it is being sent, or belongs to Start), CodeBusy, CodeUnavailable.
func (s *Store) ReplayDelivery(ctx context.Context, id uuid.UUID) (task.DeliveryInfo, error) {
	const op = "replay delivery"
	var row db.TaskrunnerDelivery
	err := s.do(ctx, call{op: op, patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		batch.Queue(db.ReplayDelivery, id)
		one(batch, &row, db.Delivery, id)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return task.DeliveryInfo{}, err
	}
	s.options.Observer.Replayed(1)
	return deliveryInfo(row), nil
}

// ReplayDeliveries makes all End and Cancel deliveries due now that a filter leaves, and returns how many. It works in
// chunks, oldest first; if it fails, those done stay done, and can be repeated without harm. f.Status is required and is
// Failed, Delivered or Canceled. Errors: CodeBusy, CodeUnavailable.
func (s *Store) ReplayDeliveries(ctx context.Context, f task.DeliveryFilter) (replayed int64, err error) {
	args := db.ReplayDeliveriesParams{
		Status: *f.Status, Trigger: f.Trigger, TaskID: f.TaskID, BatchID: f.BatchID, Host: f.Host, Since: f.From, Until: f.To,
		Most: replayChunk,
	}
	for {
		var row db.ReplayDeliveriesRow
		err := s.do(ctx, call{op: "replay deliveries", patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
			batch := bounded()
			one(batch, &row, db.ReplayDeliveries, args.Status, args.Trigger, args.TaskID, args.BatchID, args.Host, args.Since,
				args.Until, args.AfterAt, args.AfterID, args.Most)
			return send(ctx, conn, batch)
		})
		if err != nil {
			return replayed, err
		}
		s.options.Observer.Replayed(int64(row.Replayed))
		replayed += int64(row.Replayed)
		if row.LookedAt < args.Most || ctx.Err() != nil {
			return replayed, ctx.Err()
		}
		args.Until, args.AfterAt, args.AfterID = &row.Until, optional(row.LastAt), optional(row.LastID)
	}
}

// deliveryInfo turns a row of the view into the delivery of the API.
func deliveryInfo(r db.TaskrunnerDelivery) task.DeliveryInfo {
	return task.DeliveryInfo{
		ID:             r.ID,
		TaskID:         r.TaskID,
		BatchID:        r.BatchID,
		Trigger:        r.Trigger,
		Condition:      r.Condition,
		IdempotencyKey: r.IdempotencyKey,
		Verb:           r.Verb,
		URL:            r.Url,
		Status:         r.Status,
		TaskAttempt:    r.TaskAttempt,
		Tries:          r.Tries,
		MaxTries:       r.MaxTries,
		NextTryAt:      finitePointer(r.NextTryAt),
		CreatedAt:      r.CreatedAt.UTC(),
		FinishedAt:     utc(r.FinishedAt),
		LastStatusCode: r.LastStatusCode,
		LastError:      r.LastError,
	}
}
