package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// mostLinks is how many links of a batch the page draws. mostExternal is how many of those to other batches it is told.
const (
	mostLinks    = 1_000_000
	mostExternal = 1000
)

// viewing begins a batch of queries that go through all of a batch of tasks, by its index, whatever the planner believes.
func (s *Store) viewing() *pgx.Batch {
	batch := s.reading()
	batch.Queue("select set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")
	return batch
}

// ViewGraph returns a batch of at most so many tasks with its links. Errors: CodeUnknown, CodeTooLarge, CodeUnavailable.
func (s *Store) ViewGraph(ctx context.Context, id uuid.UUID, most int) (task.ViewGraph, error) {
	var known db.ViewBatchRow
	var links []db.TaskrunnerLink
	var tasks viewRows
	err := s.do(ctx, call{op: "view graph", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		links, tasks = nil, viewRows{whole: true}
		batch := s.viewing()
		one(batch, &known, db.ViewBatch, id)
		// Links before tasks: whatever is linked inside the batch by then is among the tasks read later.
		many(batch, &links, db.ViewLinks, mostLinks+1, id)
		batch.Queue(db.ViewTasks, id, most+1).Query(tasks.read)
		return found(send(ctx, conn, batch), unknownBatch(id))
	})
	switch {
	case err != nil:
		return task.ViewGraph{}, err
	case len(tasks.states) > most:
		return task.ViewGraph{}, tooLarge(id, most, "tasks")
	case len(links) > mostLinks:
		return task.ViewGraph{}, tooLarge(id, mostLinks, "links")
	}
	g := task.ViewGraph{BatchID: id, BatchName: known.Name, CreatedAt: known.CreatedAt.UTC(), Tasks: tasks.tasks, ViewStates: tasks.answer(known)}
	number := make(map[uuid.UUID]int32, len(g.Tasks))
	for i, t := range g.Tasks {
		number[t.ID] = int32(i)
	}
	g.Links, g.Required = make([][2]int32, 0, len(links)), make([]bool, 0, len(links))
	for _, l := range links {
		parent, inside := number[l.ParentID]
		if inside {
			g.Revision.Links++
		}
		child, childInside := number[l.ChildID]
		switch {
		case inside && childInside:
			g.Links, g.Required = append(g.Links, [2]int32{parent, child}), append(g.Required, l.RequiresSuccess)
		case len(g.External) < mostExternal && (inside || childInside):
			g.External = append(g.External, task.Link(l))
		}
	}
	return g, nil
}

// ViewStates returns the states of a batch of at most so many tasks, and counts its links if that is wanted. Errors: CodeUnknown,
// CodeTooLarge, CodeUnavailable.
func (s *Store) ViewStates(ctx context.Context, id uuid.UUID, most int, links bool) (task.ViewStates, error) {
	var known db.ViewBatchRow
	var linked struct{ Count int64 }
	var tasks viewRows
	err := s.do(ctx, call{op: "view states", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		tasks = viewRows{}
		batch := s.viewing()
		one(batch, &known, db.ViewBatch, id)
		if links {
			one(batch, &linked, db.CountViewLinks, id)
		}
		batch.Queue(db.ViewStates, id, most+1).Query(tasks.read)
		return found(send(ctx, conn, batch), unknownBatch(id))
	})
	switch {
	case err != nil:
		return task.ViewStates{}, err
	case len(tasks.states) > most:
		return task.ViewStates{}, tooLarge(id, most, "tasks")
	}
	answer := tasks.answer(known)
	answer.Revision.Links = linked.Count
	return answer, nil
}

func tooLarge(id uuid.UUID, most int, what string) error {
	return &task.Error{Code: task.CodeTooLarge, Message: fmt.Sprintf(
		"batch %s has more than %d %s, too many to draw; GET /task?batch_id=%s lists its tasks", id, most, what, id)}
}

// viewRows are rows of ViewStates, or of ViewTasks, which has more columns behind the same.
type viewRows struct {
	whole  bool
	seqs   uint64
	states []task.ViewState
	tasks  []task.ViewTask
}

func (v *viewRows) answer(b db.ViewBatchRow) task.ViewStates {
	return task.ViewStates{Revision: task.ViewRevision{Tasks: v.seqs}, Now: b.Now.UTC(), States: v.states}
}

// viewStatus is the number of each status.
var viewStatus = func() map[task.Status]uint8 {
	numbers := map[task.Status]uint8{}
	for i, s := range task.ViewStatuses {
		numbers[s] = uint8(i)
	}
	return numbers
}()

func (v *viewRows) read(rows pgx.Rows) error {
	var seq int64
	var status task.Status
	var state task.ViewState
	var t task.ViewTask
	var expected pgtype.Int8
	var started, ended, created pgtype.Timestamptz
	columns := []any{&seq, &status, &state.Priority, &state.Success, &state.Failures, &expected, &started, &ended}
	if v.whole {
		columns = append(columns, &t.ID, &t.Name, &t.Kind, &created)
	}
	hash, number := fnv.New64a(), make([]byte, 8)
	_, err := pgx.ForEachRow(rows, columns, func() error {
		binary.LittleEndian.PutUint64(number, uint64(seq))
		_, _ = hash.Write(number)
		state.Status, state.Expected = viewStatus[status], task.Null
		if expected.Valid {
			state.Expected = expected.Int64
		}
		state.StartedAt, state.EndedAt = milliseconds(started), milliseconds(ended)
		v.states = append(v.states, state)
		if v.whole {
			t.CreatedAt = finite(created).UnixMilli()
			v.tasks = append(v.tasks, t)
		}
		return nil
	})
	v.seqs = hash.Sum64()
	return err
}

func milliseconds(t pgtype.Timestamptz) int64 {
	if !t.Valid {
		return task.Null
	}
	return finite(t).UnixMilli()
}

// WatchBatch has the replica notified of the next change of a batch. It reports whether it was to be notified already and nothing
// has changed since. Errors: CodeUnavailable.
func (s *Store) WatchBatch(ctx context.Context, replica, batch uuid.UUID) (unchanged bool, err error) {
	err = s.do(ctx, call{op: "watch batch", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		unchanged, err = s.queries.WatchBatch(ctx, conn, db.WatchBatchParams{Replica: replica, BatchID: batch})
		return err
	})
	return unchanged, err
}

// UnwatchBatch ends it. Errors: CodeUnavailable.
func (s *Store) UnwatchBatch(ctx context.Context, replica, batch uuid.UUID) error {
	return s.do(ctx, call{op: "unwatch batch", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		return s.queries.UnwatchBatch(ctx, conn, db.UnwatchBatchParams{Replica: replica, BatchID: batch})
	})
}
