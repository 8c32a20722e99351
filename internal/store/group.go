package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/groupcommit"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Reports (PATCH) and progress (PUT) share their commits with those that arrive at the same time, each kind with its own
// (package groupcommit). The engine answers every item of a group by itself, so only locks and errors are shared: a group
// that does not get all its locks within lockWait, or takes too long, or fails, is rolled back and its items are written one
// by one. One that ends very many tasks may take minutes; it gets them on a connection that keeps nobody waiting.

const (
	opReport   = "report"
	opProgress = "add progress"

	// A group holds at most so many requests, and so many bytes of reports, unless a single one is larger.
	groupItems = 500
	groupBytes = 1 << 20
	// groupConflicts is how often a group is tried that others keep from committing, before its items are tried alone.
	groupConflicts = 3
	// quickWait is the lockWait of the first try alone: just enough for a lock that is given back in this moment.
	quickWait = "5ms"
	// groupOverdue is how long a group keeps the next one waiting: longer than lockWait and most commits take, so that only one
	// that works hard is passed, and short for those who report that they are alive.
	groupOverdue = 200 * time.Millisecond
	// groupsAtOnce bounds the groups of a kind in flight, and half of the connections do so too: others want some as well.
	groupsAtOnce = 4
	// groupWork and quickWork are the statement_timeout of a group of reports, and of the first try alone: long, because a busy
	// database is not helped by groups that fall apart; and short, because the others of the group wait for it.
	groupWork = "30s"
	quickWork = "1s"
	// groupTimeout bounds the writing of a group when the database does not: for connections that died without a word. What
	// was written nobody knows then, so it is longer than groupWork.
	groupTimeout = time.Minute
)

// report is a task.Report on its way to the engine.
type report struct {
	id   uuid.UUID
	item []byte // JSON
}

// progressed is the engine's answer to progress; the status is that of a task that was not done.
type progressed struct{ outcome, status string }

// Outcomes of the engine that mean something to a group.
const (
	outcomeDone     = "done"
	outcomeOverflow = "overflow"
	outcomeBusy     = "busy"
)

// reported is the engine's answer to a report, and the task as it is after it (none, if it is unknown).
type reported struct {
	outcome, status string
	tasks           []db.FullTaskRow
}

func (s *Store) newReports() *groupcommit.Queue[uuid.UUID, report, reported] {
	return groupcommit.New(groupcommit.Config[uuid.UUID, report, reported]{
		Key:        func(r report) uuid.UUID { return r.id },
		Size:       func(r report) int { return len(r.item) },
		MaxItems:   groupItems,
		MaxSize:    groupBytes,
		MaxGroups:  s.maxGroups(),
		Overdue:    groupOverdue,
		Write:      inGroup(opReport, s.writeReports),
		WriteAlone: alone(s, opReport, s.writeReports),
		Undone:     undone,
		Stuck:      stuck,
		Late:       late,
		Patience:   patience,
		Grace:      linger,
	})
}

func (s *Store) newProgress() *groupcommit.Queue[uuid.UUID, task.Progress, progressed] {
	return groupcommit.New(groupcommit.Config[uuid.UUID, task.Progress, progressed]{
		Key:        func(p task.Progress) uuid.UUID { return p.TaskID },
		Join:       joinProgress,
		Shared:     func(answer progressed) bool { return answer.outcome != outcomeOverflow },
		Held:       func(answer progressed) bool { return answer.outcome == outcomeBusy },
		MaxItems:   groupItems,
		MaxSize:    groupBytes,
		MaxGroups:  s.maxGroups(),
		Overdue:    groupOverdue,
		Write:      inGroup(opProgress, s.writeProgress),
		WriteAlone: alone(s, opProgress, s.writeProgress),
		Undone:     undone,
		Stuck:      stuck,
		Late:       late,
		Patience:   patience,
		Grace:      linger,
	})
}

func (s *Store) maxGroups() int { return min(groupsAtOnce, (s.options.MaxConns+1)/2) }

// joinProgress adds up progress of the same attempt of a task, if the sum can be written down.
func joinProgress(a, b task.Progress) (task.Progress, bool) {
	sameAttempt := a.Attempt == b.Attempt || a.Attempt != nil && b.Attempt != nil && *a.Attempt == *b.Attempt
	if !sameAttempt || a.NewSuccess > math.MaxInt64-b.NewSuccess || a.NewFailures > math.MaxInt64-b.NewFailures {
		return task.Progress{}, false
	}
	a.NewSuccess += b.NewSuccess
	a.NewFailures += b.NewFailures
	return a, true
}

// writer writes requests of different tasks in one transaction.
type writer[Q, R any] func(ctx context.Context, c call, b bounds, group []Q) ([]R, error)

func inGroup[Q, R any](op string, write writer[Q, R]) func(context.Context, []Q) ([]R, error) {
	return func(ctx context.Context, group []Q) ([]R, error) {
		ctx, cancel := context.WithTimeout(ctx, groupTimeout)
		defer cancel()
		return write(ctx, call{op: op, conflictTries: groupConflicts}, bounds{lock: lockWait, work: groupWork}, group)
	}
}

// alone writes one request. Waiting for somebody, and working for long, has connections of its own, and nothing bounds the
// work: a report that ends very many tasks would never get through otherwise.
func alone[Q, R any](s *Store, op string, write writer[Q, R]) func(context.Context, Q, time.Duration) (R, error) {
	return func(ctx context.Context, request Q, patience time.Duration) (answer R, err error) {
		var answers []R
		if patience > 0 {
			answers, err = write(ctx, call{op: op, pool: s.stuck, patience: patience}, bounds{lock: lockWait}, []Q{request})
		} else {
			ctx, cancel := context.WithTimeout(ctx, groupTimeout)
			defer cancel()
			answers, err = write(ctx, call{op: op, conflictTries: 1}, bounds{lock: quickWait, work: quickWork}, []Q{request})
		}
		if err == nil {
			answer = answers[0]
		}
		return answer, err
	}
}

// undone reports that the database refused a transaction, so that nothing of it was written.
func undone(err error) bool {
	var pgErr *pgconn.PgError
	var acquiring *acquireError
	return errors.Is(err, errHeld) || errors.As(err, &pgErr) && !errors.As(err, &acquiring) && !connectionLost(err)
}

// stuck reports a transaction that was rolled back because of others.
func stuck(err error) bool { return locked(err) || conflicted(err) }

// late reports a transaction that was rolled back because a statement took too long.
func late(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "57014"
}

func (s *Store) writeReports(ctx context.Context, c call, b bounds, group []report) ([]reported, error) {
	ids := make([]uuid.UUID, len(group))
	items := make([][]byte, len(group))
	for i, r := range group {
		ids[i], items[i] = r.id, r.item
	}
	list := append(append([]byte{'['}, bytes.Join(items, []byte{','})...), ']')
	var answers []db.ReportTasksRow
	var rows []db.FullTaskRow
	err := s.do(ctx, c, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := b.begin()
		many(batch, &answers, db.ReportTasks, list)
		many(batch, &rows, db.FullTasks, ids)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return nil, err
	}
	if len(answers) > 0 {
		s.counted(c.op, answers[0].Counts)
	}
	byID := make(map[uuid.UUID]*reported, len(group))
	for _, a := range answers {
		byID[a.TaskID] = &reported{outcome: a.Outcome, status: a.CurrentStatus}
	}
	for i, row := range rows {
		if r := byID[row.ID]; r != nil {
			r.tasks = rows[i : i+1]
		}
	}
	return inOrder(ids, byID)
}

func (s *Store) writeProgress(ctx context.Context, c call, b bounds, group []task.Progress) ([]progressed, error) {
	ids := make([]uuid.UUID, len(group))
	all := db.ProgressTasksParams{
		LockTimeout: b.lock, TaskIds: ids,
		Attempts: make([]int32, len(group)), NewSuccess: make([]int64, len(group)), NewFailures: make([]int64, len(group)),
	}
	for i, p := range group {
		ids[i], all.NewSuccess[i], all.NewFailures[i] = p.TaskID, p.NewSuccess, p.NewFailures
		if p.Attempt != nil {
			all.Attempts[i] = cmp.Or(*p.Attempt, -1) // 0 stands for none; attempts begin with 1, so the one is over as well as the other
		}
	}
	var answers []progressed
	err := s.do(ctx, c, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		if len(group) == 1 {
			if answers, err = s.writeLoneProgress(ctx, conn, b, group[0]); err != nil || answers != nil {
				return err
			}
		}
		row, err := s.queries.ProgressTasks(ctx, conn, all)
		if err != nil {
			return err
		}
		answers, err = progressAnswers(ids, row)
		if err == nil && len(group) == 1 && answers[0].outcome == outcomeBusy {
			err = errHeld
		}
		return err
	})
	return answers, err
}

// progressAnswers returns the answers in the order of the requests.
func progressAnswers(ids []uuid.UUID, row db.ProgressTasksRow) ([]progressed, error) {
	answers := make([]progressed, len(ids))
	if int(row.Written)+len(row.TaskIds) != len(ids) {
		return nil, fmt.Errorf("store: the engine answered %d and %d of %d", row.Written, len(row.TaskIds), len(ids))
	}
	for i := range answers {
		answers[i].outcome = outcomeDone
	}
	for n, id := range row.TaskIds {
		i := slices.Index(ids, id)
		if i < 0 {
			return nil, errors.New("store: the engine answered for task " + id.String() + ", which was not asked for")
		}
		answers[i] = progressed{outcome: row.Outcomes[n], status: row.CurrentStatuses[n]}
	}
	return answers, nil
}

// writeLoneProgress writes the progress of one task that is as expected. Of any other it says nothing, and writes nothing. It and
// writing a group are one statement each, because a lone request feels every one; they bound their locks themselves, and beside
// waiting for them they have next to nothing to do, so that there is no need of a statement_timeout.
func (s *Store) writeLoneProgress(ctx context.Context, conn *pgxpool.Conn, b bounds, p task.Progress) ([]progressed, error) {
	status, err := s.queries.ProgressTask(ctx, conn, db.ProgressTaskParams{
		LockTimeout: b.lock, TaskID: p.TaskID, Attempt: p.Attempt, NewSuccess: p.NewSuccess, NewFailures: p.NewFailures,
	})
	if err != nil || status == "" {
		return nil, err
	}
	return []progressed{{outcome: outcomeDone, status: status}}, nil
}

// inOrder returns the answers in the order of the requests.
func inOrder[R any](ids []uuid.UUID, answers map[uuid.UUID]*R) ([]R, error) {
	list := make([]R, len(ids))
	for i, id := range ids {
		answer := answers[id]
		if answer == nil {
			return nil, errors.New("store: the engine gave no answer for task " + id.String())
		}
		list[i] = *answer
	}
	return list, nil
}
