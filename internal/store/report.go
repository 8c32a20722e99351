package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
)

// Report applies what a remote side says about its task (PATCH) and returns the task as it is then. Shapes and ranges
// of the fields are the caller's to check. It shares its commit with others (group.go).
// Errors: CodeUnknown, CodeStale, CodeAhead, CodeState, CodeOverflow (with the task's status), CodeBusy, CodeUnavailable.
func (s *Store) Report(ctx context.Context, r task.Report) (task.Task, error) {
	item, err := encode(r)
	if err != nil {
		return task.Task{}, mapError(opReport, err)
	}
	traced := s.options.Tracer.Statement(ctx, "ReportTasks")
	answer, err := s.reports.Do(traced, report{id: r.TaskID, item: item})
	tracing.EndStatement(traced, err)
	if err == nil {
		err = outcomeError(r.TaskID, answer.outcome, answer.status)
	}
	if err != nil {
		return task.Task{}, mapError(opReport, err)
	}
	return onlyTask(opReport, r.TaskID, answer.tasks)
}

// AddProgress adds to the counters of a task in any state (PUT); it is committed when this returns. It shares its commit
// with others (group.go).
// Errors: CodeUnknown, CodeStale, CodeAhead, CodeOverflow (with the task's status), CodeBusy, CodeUnavailable.
func (s *Store) AddProgress(ctx context.Context, p task.Progress) error {
	traced := s.options.Tracer.Statement(ctx, "ProgressTasks")
	answer, err := s.progress.Do(traced, p)
	tracing.EndStatement(traced, err)
	if err == nil {
		err = outcomeError(p.TaskID, answer.outcome, answer.status)
	}
	return mapError(opProgress, err)
}

// onlyTask returns the one task that a call read.
func onlyTask(op string, id uuid.UUID, rows []db.FullTaskRow) (task.Task, error) {
	if len(rows) == 0 {
		return task.Task{}, mapError(op, unknownTask(id))
	}
	t, err := fullTask(rows[0])
	return t, mapError(op, err)
}

func unknownTask(id uuid.UUID) error {
	return &task.Error{Code: task.CodeUnknown, Message: fmt.Sprintf("task %s: unknown task", id)}
}

// outcomeError is the error of an item that the engine answered by something else than done.
func outcomeError(id uuid.UUID, outcome, status string) error {
	e := &task.Error{Status: task.Status(status)}
	switch outcome {
	case outcomeDone:
		return nil
	case "unknown":
		return unknownTask(id)
	case "state":
		e.Code, e.Message = task.CodeState,
			fmt.Sprintf("task %s: is %s: it was not started in this attempt, so it has no result yet", id, status)
		if e.Status.Terminal() {
			e.Message = fmt.Sprintf("task %s: has ended already, as %s", id, status)
		}
	case "stale":
		e.Code, e.Message = task.CodeStale, fmt.Sprintf("task %s: this attempt is over", id)
	case "ahead":
		e.Code, e.Message = task.CodeAhead, fmt.Sprintf("task %s: this attempt has not begun", id)
		e.Details = []string{"attempt: has not begun"}
	case outcomeOverflow:
		e.Code, e.Message = task.CodeOverflow, fmt.Sprintf("task %s: a counter would overflow", id)
	default:
		if strings.HasPrefix(outcome, "metadata: ") {
			return &task.Error{Code: task.CodeInvalid, Message: fmt.Sprintf("task %s: %s", id, outcome), Details: []string{outcome}}
		}
		return errors.New("unknown outcome " + outcome)
	}
	return e
}
