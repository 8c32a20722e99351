package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Batch is GET /batch/{batch_id}.
func (c *Client) Batch(ctx context.Context, id uuid.UUID) (Answer[task.Batch], error) {
	return ask[task.Batch](ctx, c, request{method: http.MethodGet, path: []string{"batch", id.String()}})
}

// Graph is GET /dag/{batch_id}.
func (c *Client) Graph(ctx context.Context, id uuid.UUID) (Answer[task.Graph], error) {
	return ask[task.Graph](ctx, c, request{method: http.MethodGet, path: []string{"dag", id.String()}})
}

// Stop is DELETE /batch/{batch_id}.
func (c *Client) Stop(ctx context.Context, id uuid.UUID) (Answer[task.Stopped], error) {
	return ask[task.Stopped](ctx, c, request{method: http.MethodDelete, path: []string{"batch", id.String()}})
}
