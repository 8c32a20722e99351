package store

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// reading begins a batch that reads, each of its statements at most for ReadTimeout: what a filter finds only by going
// through everything must not keep a connection busy for minutes.
func (s *Store) reading() *pgx.Batch {
	batch := &pgx.Batch{}
	batch.Queue("select set_config('statement_timeout', $1, true)", strconv.FormatInt(s.options.ReadTimeout.Milliseconds(), 10))
	return batch
}

// ListTasks returns a page of the tasks that pass a filter, newest first. next is the place of its last row if more
// follow, else nil. Errors: CodeUnavailable.
func (s *Store) ListTasks(ctx context.Context, f task.Filter, p task.Page) (page []task.Basic, next *task.Position, err error) {
	var rows []db.ListTasksRow
	err = s.do(ctx, call{op: "list tasks", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.reading()
		before, seq := after(p)
		many(batch, &rows, db.ListTasks, f.Status, f.BatchID, part(f.Name), part(f.Kind), f.Timeout, []byte(f.Metadata),
			before, seq, p.Skip, p.Size+1)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > p.Size {
		last := rows[p.Size-1]
		rows, next = rows[:p.Size], &task.Position{CreatedAt: last.CreatedAt, Seq: last.Seq}
	}
	for _, r := range rows {
		page = append(page, basicTask(db.BasicTasksRow{ID: r.ID, Name: r.Name, Kind: r.Kind, Status: r.Status,
			CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, Success: r.Success, Failures: r.Failures,
			ExpectedCount: r.ExpectedCount, EndedAt: r.EndedAt, BatchID: r.BatchID, DeadEndBarrier: r.DeadEndBarrier,
			Priority: r.Priority}))
	}
	return page, next, nil
}

// ListBatches returns a page of the batches that pass a filter, newest first, and next as ListTasks does.
// Errors: CodeUnavailable.
func (s *Store) ListBatches(ctx context.Context, f task.BatchFilter, p task.Page) (page []task.ListedBatch, next *task.Position, err error) {
	var rows []db.ListBatchesRow
	err = s.do(ctx, call{op: "list batches", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.reading()
		before, seq := after(p)
		many(batch, &rows, db.ListBatches, f.Status, part(f.Name), part(f.Kind), f.CreatedAfter, f.CreatedBefore,
			before, seq, p.Skip, p.Size+1)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > p.Size {
		last := rows[p.Size-1]
		rows, next = rows[:p.Size], &task.Position{CreatedAt: last.CreatedAt, Seq: last.Seq}
	}
	for _, r := range rows {
		b := task.ListedBatch{
			BatchID:         r.BatchID,
			TotalTasks:      r.TotalTasks,
			FirstCreatedAt:  r.FirstCreatedAt.UTC(),
			LatestUpdatedAt: r.LatestUpdatedAt.UTC(),
			StatusCounts: task.StatusCounts{
				Waiting:  r.Waiting,
				Pending:  r.Pending,
				Claimed:  r.Claimed,
				Running:  r.Running,
				Success:  r.Success,
				Failure:  r.Failure,
				Paused:   r.Paused,
				Canceled: r.Canceled,
			},
			Kinds: r.Kinds,
		}
		if r.Named {
			b.BatchName = &r.BatchName
		}
		page = append(page, b)
	}
	return page, next, nil
}

// after gives the place behind which a page begins, null for the newest rows.
func after(p task.Page) (createdAt *time.Time, seq *int64) {
	if p.After == nil {
		return nil, nil
	}
	return &p.After.CreatedAt, &p.After.Seq
}

// part gives the text that is searched for, null for none.
func part(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
