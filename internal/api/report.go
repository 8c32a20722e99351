package api

import (
	"math"
	"net/http"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Priorities of tasks.
const (
	minPriority = -1000
	maxPriority = 1000
)

// reportTask is PATCH /task/{task_id}: progress, new values, or the result of the attempt.
func (s *server) reportTask(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	f, err := s.readFields(w, r)
	if err != nil {
		return err
	}
	report := task.Report{TaskID: id, Attempt: attemptOf(r), Status: f.result("status")}
	report.FailureReason = f.text("failure_reason")
	if _, given := f.member("failure_reason"); !given && report.Status != nil && *report.Status == task.Failure {
		f.fault("failure_reason", "is required with status Failure")
	}
	report.NewSuccess = f.integer("new_success", 0, math.MaxInt64)
	report.NewFailures = f.integer("new_failures", 0, math.MaxInt64)
	report.ExpectedCount = f.integer("expected_count", 0, math.MaxInt64)
	if priority := f.integer("priority", minPriority, maxPriority); priority != nil {
		narrow := int32(*priority)
		report.Priority = &narrow
	}
	report.Metadata = f.metadata("metadata")
	if err := f.err(); err != nil {
		return err
	}
	t, err := s.Store.Report(r.Context(), report)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, t)
}

// progress is the answer of PUT /task/{task_id}.
type progress struct {
	ID          uuid.UUID `json:"id"`
	NewSuccess  int64     `json:"new_success"`
	NewFailures int64     `json:"new_failures"`
}

// addProgress is PUT /task/{task_id}. The members that only PATCH uses must have the right type all the same.
func (s *server) addProgress(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	f, err := s.readFields(w, r)
	if err != nil {
		return err
	}
	f.status("status")
	f.text("failure_reason")
	success := f.integer("new_success", 0, math.MaxInt64)
	failures := f.integer("new_failures", 0, math.MaxInt64)
	f.integer("expected_count", math.MinInt64, math.MaxInt64)
	f.integer("priority", math.MinInt32, math.MaxInt32)
	p := progress{ID: id}
	if success != nil {
		p.NewSuccess = *success
	}
	if failures != nil {
		p.NewFailures = *failures
	}
	if len(f.faults) == 0 && p.NewSuccess == 0 && p.NewFailures == 0 {
		f.fault("new_success", "at least one of new_success and new_failures must be positive")
	}
	if err := f.err(); err != nil {
		return err
	}
	err = s.Store.AddProgress(r.Context(), task.Progress{
		TaskID: id, Attempt: attemptOf(r), NewSuccess: p.NewSuccess, NewFailures: p.NewFailures,
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, p)
}
