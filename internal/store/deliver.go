package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// ClaimDeliveries leases up to limit due End and Cancel deliveries to a replica, oldest first, each for the time lease.
// after is the due time up to which the replica has consumed the queue, zero for its start; with rescan the queue is
// also read from its start if that finds too few. rooms bound what it gets for each webhook host.
func (s *Store) ClaimDeliveries(
	ctx context.Context, replica uuid.UUID, limit int, lease time.Duration, after time.Time, rescan bool, rooms task.Rooms,
) (deliveries []task.Delivery, left task.Left, err error) {
	args := db.ClaimDeliveriesParams{
		Replica:   replica,
		Most:      clampInt32(int64(limit)),
		LeaseSecs: wholeSeconds(lease),
		Rescan:    rescan,
		Hosts:     rooms.Hosts,
		Rooms:     rooms.Rooms,
		OtherRoom: rooms.Other,
		Look:      rooms.Look,
		HostAfter: rooms.After,
	}
	if !after.IsZero() {
		args.After = &after
	}
	var rows []db.ClaimDeliveriesRow
	err = s.do(ctx, call{op: "claim deliveries", pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		rows, err = s.queries.ClaimDeliveries(ctx, conn, args)
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, task.Left{}, err
	}
	deliveries = make([]task.Delivery, 0, len(rows))
	for _, row := range rows {
		if len(row.DeliveryIds) == 0 {
			continue
		}
		w, err := webhook(row.Params)
		if err != nil { // the guards of the action table do not let it in; the call will fail and say so
			s.log.Error("unreadable webhook", "task_id", row.TaskID, "delivery_id", row.DeliveryIds[0], "error", err)
		}
		deliveries = append(deliveries, task.Delivery{
			ID:             row.DeliveryIds[0],
			TaskID:         row.TaskID,
			BatchID:        optional(row.BatchIds),
			Trigger:        row.Trigger,
			TaskAttempt:    row.TaskAttempt,
			Number:         row.Number,
			NextTryAt:      row.NextTryAt,
			IdempotencyKey: row.IdempotencyKey,
			Webhook:        w,
			Host:           row.Host,
			ByHost:         row.ByHost,
			LeasedUntil:    row.LeasedUntil,
			Traceparent:    row.Traceparent,
		})
	}
	return deliveries, task.Left{Held: rows[0].Held, Passed: rows[0].Passed}, nil
}

// SettleDeliveries records tries of deliveries, failures only while their lease is the last one. A delivery may occur once. Idempotent:
// a try whose number is recorded already changes nothing. CodeBusy as for StartTasks.
func (s *Store) SettleDeliveries(ctx context.Context, tries []task.DeliveryTry, backoff task.Backoff) error {
	if len(tries) == 0 {
		return nil
	}
	const op = "settle deliveries"
	items := make([]deliveryTry, 0, len(tries))
	for _, t := range tries {
		items = append(items, deliveryTry{
			DeliveryID:     t.Delivery.ID,
			Number:         t.Delivery.Number,
			LeasedUntil:    t.Delivery.LeasedUntil.UTC(),
			Outcome:        t.Outcome,
			RetryAfterSecs: t.RetryAfter.Seconds(),
			loggedTry:      newLoggedTry(t.Try, t.Outcome != task.DeliveryDelivered),
		})
	}
	raw, err := encode(items)
	if err != nil {
		return mapError(op, err)
	}
	var givenUp int64
	err = s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		batch.Queue(db.SettleDeliveries, raw, backoff.Base.Seconds(), backoff.Factor, backoff.Max.Seconds()).
			QueryRow(func(row pgx.Row) error { return row.Scan(&givenUp) })
		return send(ctx, conn, batch)
	})
	if err == nil && givenUp > 0 && s.options.OnGivenUp != nil {
		s.options.OnGivenUp(givenUp)
	}
	return err
}
