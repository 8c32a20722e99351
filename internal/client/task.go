package client

import (
	"context"
	"encoding/json"
	"errors"
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
	r := request{method: http.MethodPost, path: []string{"task"}, body: body, header: header}
	got, err := c.call(ctx, r)
	if err != nil {
		return Answer[Created]{}, err
	}
	created, err := readCreated(got)
	if err != nil {
		return Answer[Created]{}, c.foreign(r, err)
	}
	return Answer[Created]{Value: created, Raw: got.raw, Header: got.header}, nil
}

// readCreated reads the answer of POST /task: tasks, or 204 where nothing was created.
func readCreated(a *reply) (created Created, err error) {
	if created.BatchID, err = uuid.Parse(a.header.Get("X-Batch-ID")); err != nil {
		return created, errors.New("has no batch id")
	}
	if a.status == http.StatusNoContent {
		return created, nil
	}
	created.Tasks, err = decode(a, http.StatusCreated, rowsFault)
	return created, err
}

// askTask makes a request that is answered with the task.
func askTask(ctx context.Context, c *Client, id uuid.UUID, r request) (Answer[task.Task], error) {
	return ask(ctx, c, r, func(t task.Task) error { return taskFault(t, id) })
}

// Task is GET /task/{task_id}.
func (c *Client) Task(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return askTask(ctx, c, id, request{method: http.MethodGet, path: []string{"task", id.String()}})
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
	return askTask(ctx, c, id, request{method: http.MethodPatch, path: []string{"task", id.String()}, body: body})
}

// Cancel is DELETE /task/{task_id}.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return askTask(ctx, c, id, request{method: http.MethodDelete, path: []string{"task", id.String()}})
}

// Pause is PATCH /task/pause/{task_id}.
func (c *Client) Pause(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return askTask(ctx, c, id, request{method: http.MethodPatch, path: []string{"task", "pause", id.String()}})
}

// Resume is PATCH /task/resume/{task_id}.
func (c *Client) Resume(ctx context.Context, id uuid.UUID) (Answer[task.Task], error) {
	return askTask(ctx, c, id, request{method: http.MethodPatch, path: []string{"task", "resume", id.String()}})
}
