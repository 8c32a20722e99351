package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
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

// GiveBackDeliveries is GiveBackClaims for deliveries: it ends leases that the replica has taken without knowing of it.
func (s *Store) GiveBackDeliveries(ctx context.Context, replica uuid.UUID, kept []uuid.UUID) (givenBack int, open bool, err error) {
	var n int32
	err = s.do(ctx, call{op: "give back deliveries", idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		n, err = s.queries.GiveBackDeliveries(ctx, conn, db.GiveBackDeliveriesParams{Replica: replica, Kept: append([]uuid.UUID{}, kept...)}) // never null
		return err
	})
	if err != nil || n < 0 {
		return 0, err == nil, err
	}
	return int(n), false, nil
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
	var settled []db.SettleDeliveriesRow
	err = s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		many(batch, &settled, db.SettleDeliveries, raw, backoff.Base.Seconds(), backoff.Factor, backoff.Max.Seconds())
		return send(ctx, conn, batch)
	})
	if err != nil {
		return err
	}
	s.noteSettled(settled)
	if len(settled) < len(tries) {
		s.noteOvertaken(ctx, tries, settled)
	}
	return nil
}

func (s *Store) noteSettled(settled []db.SettleDeliveriesRow) {
	type outcomes struct{ delivered, failed int64 }
	by := map[string]outcomes{}
	for _, d := range settled {
		o := by[d.Trigger]
		switch d.Status {
		case "Delivered":
			o.delivered++
		case "Failed":
			o.failed++
		default:
			continue
		}
		by[d.Trigger] = o
	}
	for trigger, o := range by {
		s.options.Observer.Settled(trigger, o.delivered, o.failed)
	}
}

// noteOvertaken finds out what became of deliveries whose failed tries were not settled: their leases had run out.
func (s *Store) noteOvertaken(ctx context.Context, tries []task.DeliveryTry, settled []db.SettleDeliveriesRow) {
	var ids []uuid.UUID
	for _, t := range tries {
		if t.Outcome != task.DeliveryDelivered &&
			!slices.ContainsFunc(settled, func(d db.SettleDeliveriesRow) bool { return d.DeliveryID == t.Delivery.ID }) {
			ids = append(ids, t.Delivery.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	var others []db.OthersDeliveriesRow
	err := s.do(ctx, call{op: "overtaken deliveries", reads: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		others, err = s.queries.OthersDeliveries(ctx, conn, ids)
		return err
	})
	if err != nil {
		s.log.Debug("overtaken deliveries cannot be counted", "error", err)
	}
	for _, o := range others {
		s.options.Observer.Overtaken(o.Trigger, o.Delivered, o.Sending)
	}
}
