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

// ClaimTasks claims up to limit ready tasks for a replica, by priority and insertion order. A claim older than
// claimTimeout counts as stale. marks say how far the replica has consumed the queue, at most one per priority; with
// rescan the queue is also read from its start if that finds too few. rooms bound what it gets for each webhook host.
// Not repeated when the connection is lost: GiveBackClaims is for tasks that it may have claimed.
func (s *Store) ClaimTasks(
	ctx context.Context, replica uuid.UUID, limit int, claimTimeout time.Duration, marks []task.Mark, rescan bool, rooms task.Rooms,
) (claims []task.Claim, left task.Left, err error) {
	args := db.ClaimTasksParams{
		Replica:          replica,
		Most:             clampInt32(int64(limit)),
		ClaimTimeoutSecs: wholeSeconds(claimTimeout),
		MarkPriorities:   make([]int32, 0, len(marks)),
		MarkSeqs:         make([]int64, 0, len(marks)),
		Rescan:           rescan,
		Hosts:            rooms.Hosts,
		Rooms:            rooms.Rooms,
		OtherRoom:        rooms.Other,
		Look:             rooms.Look,
		HostAfter:        rooms.After,
	}
	// claim_candidates reads them from the highest priority downwards.
	marks = slices.SortedFunc(slices.Values(marks), func(a, b task.Mark) int { return int(b.Priority) - int(a.Priority) })
	for _, m := range marks {
		args.MarkPriorities = append(args.MarkPriorities, m.Priority)
		args.MarkSeqs = append(args.MarkSeqs, m.Seq)
	}

	const op = "claim tasks"
	var rows []db.ClaimTasksRow
	err = s.do(ctx, call{op: op, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		rows, err = s.queries.ClaimTasks(ctx, conn, args)
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, task.Left{}, err
	}
	for _, row := range rows {
		if row.Counts != "" { // one has them all
			s.counted(op, row.Counts)
		}
	}
	claims = make([]task.Claim, 0, len(rows))
	for _, row := range rows {
		if len(row.TaskIds) == 0 {
			continue
		}
		c := task.Claim{
			TaskID:         row.TaskIds[0],
			BatchID:        optional(row.BatchIds),
			Attempt:        row.Attempt,
			Priority:       row.Priority,
			Seq:            row.Seq,
			ClaimedAt:      row.ClaimedAt,
			IdempotencyKey: row.IdempotencyKey,
			HasRules:       row.HasRules,
			Host:           row.Host,
			ByHost:         row.ByHost,
			Traceparent:    row.Traceparent,
		}
		if row.Params != nil {
			w, err := webhook(row.Params)
			if err != nil { // the guards of the action table do not let it in; the call will fail and say so
				s.log.Error("unreadable webhook", "task_id", c.TaskID, "error", err)
			}
			c.Webhook = &w
		}
		claims = append(claims, c)
	}
	return claims, task.Left{Again: rows[0].Again, Held: rows[0].Held, Passed: rows[0].Passed}, nil
}

// GiveBackClaims gives back what a replica has claimed without knowing of it, as when the answer of ClaimTasks was lost with its connection.
// kept are the tasks that it knows of. open: such a claim has not ended in the database, so this is to be asked again.
func (s *Store) GiveBackClaims(ctx context.Context, replica uuid.UUID, kept []uuid.UUID) (givenBack int, open bool, err error) {
	const op = "give back claims"
	var row db.GiveBackClaimsRow
	err = s.do(ctx, call{op: op, idempotent: true, pool: s.work}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.GiveBackClaims(ctx, conn, db.GiveBackClaimsParams{Replica: replica, Kept: append([]uuid.UUID{}, kept...)}) // never null
		return err
	})
	if err != nil || row.GivenBack < 0 {
		return 0, err == nil, err
	}
	s.counted(op, row.Counts)
	return int(row.GivenBack), false, nil
}
