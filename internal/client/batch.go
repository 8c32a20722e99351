package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Batch is GET /batch/{batch_id}.
func (c *Client) Batch(ctx context.Context, id uuid.UUID) (Answer[task.Batch], error) {
	return ask(ctx, c, request{method: http.MethodGet, path: []string{"batch", id.String()}}, func(b task.Batch) error { return batchFault(b, id) })
}

// Graph is GET /dag/{batch_id}.
func (c *Client) Graph(ctx context.Context, id uuid.UUID) (Answer[task.Graph], error) {
	return ask(ctx, c, request{method: http.MethodGet, path: []string{"dag", id.String()}}, graphFault)
}

// Stop is DELETE /batch/{batch_id}.
func (c *Client) Stop(ctx context.Context, id uuid.UUID) (Answer[task.Stopped], error) {
	return ask(ctx, c, request{method: http.MethodDelete, path: []string{"batch", id.String()}}, func(s task.Stopped) error { return idFault(s.BatchID, id) })
}
