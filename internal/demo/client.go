package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// client calls the service's API.
type client struct {
	base string // URL without a slash at the end
	http *http.Client
}

func newClient(base string) *client {
	return &client{base: base, http: &http.Client{
		Timeout: 10 * time.Second, Transport: http.DefaultTransport.(*http.Transport).Clone(),
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// submit creates a batch and returns its id.
func (c *client) submit(ctx context.Context, body []byte) (uuid.UUID, error) {
	header, err := c.call(ctx, http.MethodPost, "/task", body, nil)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(header.Get("X-Batch-ID"))
	if err != nil {
		return uuid.Nil, fmt.Errorf("demo: POST /task: header X-Batch-ID: %w", err)
	}
	return id, nil
}

// graph returns a batch with its dependencies.
func (c *client) graph(ctx context.Context, batch uuid.UUID) (task.Graph, error) {
	var g task.Graph
	_, err := c.call(ctx, http.MethodGet, "/dag/"+batch.String(), nil, &g)
	return g, err
}

// task returns one task in full.
func (c *client) task(ctx context.Context, id uuid.UUID) (task.Task, error) {
	var t task.Task
	_, err := c.call(ctx, http.MethodGet, "/task/"+id.String(), nil, &t)
	return t, err
}

// cancel cancels one task.
func (c *client) cancel(ctx context.Context, id uuid.UUID) error {
	_, err := c.call(ctx, http.MethodDelete, "/task/"+id.String(), nil, nil)
	return err
}

// call makes a request and decodes the answer; a status other than 2xx is an error with what was answered.
func (c *client) call(ctx context.Context, method, path string, body []byte, into any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("demo: %s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("demo: %s %s answered %d: %s", method, path, resp.StatusCode, bytes.TrimSpace(answer))
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			return nil, fmt.Errorf("demo: %s %s: %w", method, path, err)
		}
	}
	return resp.Header, nil
}
