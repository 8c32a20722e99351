package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Created is the answer of POST /task.
type Created struct {
	BatchID uuid.UUID // of no batch if there are no tasks
	Tasks   []task.Basic
}

// Submit is POST /task. Requests with the same key and body create one batch, however many there are; an empty key is
// none.
func (c *Client) Submit(ctx context.Context, body []byte, key string) (Answer[Created], error) {
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	a, err := ask[[]task.Basic](ctx, c, request{method: http.MethodPost, path: []string{"task"}, body: body, header: header})
	if err != nil {
		return Answer[Created]{Raw: a.Raw, Header: a.Header}, err
	}
	id, err := uuid.Parse(a.Header.Get("X-Batch-ID"))
	if err != nil {
		return Answer[Created]{}, fmt.Errorf("%s is no Task Runner: POST /task was answered without a batch id", c.base)
	}
	return Answer[Created]{Value: Created{BatchID: id, Tasks: a.Value}, Raw: a.Raw, Header: a.Header}, nil
}

// Task is GET /task/{task_id}.
func (c *Client) Task(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return ask[task.Task](ctx, c, request{method: http.MethodGet, path: []string{"task", id.String()}})
}

// Report is the result of a task.
type Report struct {
	Status        task.Status `json:"status"` // Success or Failure
	FailureReason *string     `json:"failure_reason,omitempty"`
}

// Report is PATCH /task/{task_id}.
func (c *Client) Report(ctx context.Context, id uuid.UUID, r Report) (Answer[task.Task], error) {
	body, err := json.Marshal(r)
	if err != nil {
		return Answer[task.Task]{}, fmt.Errorf("report: %w", err)
	}
	return ask[task.Task](ctx, c, request{method: http.MethodPatch, path: []string{"task", id.String()}, body: body})
}

// Cancel is DELETE /task/{task_id}.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return ask[task.Task](ctx, c, request{method: http.MethodDelete, path: []string{"task", id.String()}})
}

// Pause is PATCH /task/pause/{task_id}.
func (c *Client) Pause(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return ask[task.Task](ctx, c, request{method: http.MethodPatch, path: []string{"task", "pause", id.String()}})
}

// Resume is PATCH /task/resume/{task_id}.
func (c *Client) Resume(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return ask[task.Task](ctx, c, request{method: http.MethodPatch, path: []string{"task", "resume", id.String()}})
}
