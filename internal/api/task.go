package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// batchIDHeader names the batch that POST /task created, or that it would have created had there been anything.
const batchIDHeader = "X-Batch-ID"

// graphIntegers are the places of integers in the body of POST /task, in both forms.
var graphIntegers = func() []string {
	places := []string{"timeout", "expected_count", "priority", "retry.max_attempts"}
	var both []string
	for _, place := range append(places, ruleIntegers...) {
		both = append(both, "*."+place, "tasks.*."+place)
	}
	return both
}()

// createTasks is POST /task.
func (s *server) createTasks(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	batchID, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a batch id: %w", err)
	}
	webhooks := newWebhookCheck(s.Egress)
	body, faults, err := s.readJSON(w, r, "tasks", webhooks.places(graphIntegers))
	if err != nil {
		return ofBatch(err, batchID)
	}
	key, err := s.idempotencyKey(r)
	if err != nil {
		return ofBatch(err, batchID)
	}
	if len(faults)+len(webhooks.faults) > 0 {
		known := webhooks.faults
		for _, f := range faults {
			known = append(known, task.Fault{Path: f.Path, Message: f.Message})
		}
		return ofBatch(s.Store.SubmitFaults(r.Context(), body, known), batchID)
	}
	done, err := s.submit(r.Context(), key, batchID, body)
	if err != nil {
		return ofBatch(err, batchID)
	}
	about(r, "batch_id", done.BatchID)
	w.Header().Set(batchIDHeader, done.BatchID.String())
	if done.Replayed {
		w.Header().Set(replayedHeader, "true")
	} else if len(done.Tasks) > 0 {
		s.Created(done.Tasks)
	}
	if done.Nothing {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return reply(w, http.StatusCreated, done.Tasks)
}

// submit creates what the body describes, once for a key if there is one.
func (s *server) submit(
	ctx context.Context, key *task.IdempotencyKey, batchID uuid.UUID, body []byte,
) (task.Submitted, error) {
	if key != nil {
		return s.Store.SubmitOnce(ctx, *key, batchID, body)
	}
	tasks, err := s.Store.Submit(ctx, batchID, body)
	return task.Submitted{BatchID: batchID, Tasks: tasks, Nothing: len(tasks) == 0}, err
}

// ofBatch adds to a validation error the id that the refused batch would have had.
func ofBatch(err error, batchID uuid.UUID) error {
	p := toProblem(err)
	if p == nil || p.Status != http.StatusBadRequest || len(p.Details) == 0 {
		return err
	}
	p.BatchID = &batchID
	return p
}

// shownTask is the answer of GET /task/{task_id}.
type shownTask struct {
	task.Task
	BlockedBy json.RawMessage `json:"blocked_by"`
}

// showTask is GET /task/{task_id}.
func (s *server) showTask(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	t, err := s.Store.Task(r.Context(), id)
	if err != nil {
		return err
	}
	if err := checkAttempt(attemptOf(r), t); err != nil {
		return err
	}
	shown := shownTask{Task: t, BlockedBy: json.RawMessage("null")}
	if t.Status == task.Pending && string(t.Rules) != "[]" {
		if shown.BlockedBy, err = s.Store.BlockedBy(r.Context(), id); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, shown)
}

// cancelTask is DELETE /task/{task_id}.
func (s *server) cancelTask(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	return s.act(w, r, id, s.Store.Cancel)
}

// pauseTask is PATCH /task/pause/{task_id}.
func (s *server) pauseTask(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	return s.act(w, r, id, s.Store.Pause)
}

// resumeTask is PATCH /task/resume/{task_id}.
func (s *server) resumeTask(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	return s.act(w, r, id, s.Store.Resume)
}

// act does something to a task that needs no body and answers with the task.
func (s *server) act(
	w http.ResponseWriter, r *http.Request, id uuid.UUID, do func(context.Context, uuid.UUID) (task.Task, error),
) error {
	t, err := do(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, t)
}
