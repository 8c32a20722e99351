package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Query is the query string of a list. What is empty is not sent.
type Query struct {
	Status, Name, Kind          string
	BatchID, Timeout, Metadata  string // of GET /task
	CreatedAfter, CreatedBefore string // of GET /batches
	Size                        int    // most rows of the page; 0: as many as the service likes
	Cursor                      string // of the page before
}

// values writes it.
func (q Query) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"status": q.Status, "name": q.Name, "kind": q.Kind, "batch_id": q.BatchID, "timeout": q.Timeout, "metadata": q.Metadata,
		"created_after": q.CreatedAfter, "created_before": q.CreatedBefore, "cursor": q.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Size > 0 {
		v.Set("page_size", strconv.Itoa(q.Size))
	}
	return v
}

// Page is a part of a list, newest rows first.
type Page[T any] struct {
	Rows []T
	Raw  []json.RawMessage // the same rows as they came
	Next string            // the cursor of the next page; empty: there is none
}

// Tasks is GET /task.
func (c *Client) Tasks(ctx context.Context, q Query) (Page[task.Basic], error) {
	return list(ctx, c, "task", q, basicFault)
}

// Batches is GET /batches.
func (c *Client) Batches(ctx context.Context, q Query) (Page[task.ListedBatch], error) {
	return list(ctx, c, "batches", q, listedFault)
}

// list asks for a page, in whose rows fault must find nothing wrong.
func list[T any](ctx context.Context, c *Client, path string, q Query, fault func(T) error) (Page[T], error) {
	r := request{method: http.MethodGet, path: []string{path}, query: q.values()}
	a, err := ask(ctx, c, r, func(rows []json.RawMessage) error {
		if rows == nil {
			return errNoArray
		}
		return nil
	})
	if err != nil {
		return Page[T]{}, err
	}
	p := Page[T]{Raw: a.Value, Next: a.Header.Get("X-Next-Cursor"), Rows: make([]T, len(a.Value))}
	for i, raw := range a.Value {
		if err := json.Unmarshal(raw, &p.Rows[i]); err != nil {
			return Page[T]{}, c.foreign(r, fmt.Errorf("cannot be read: %w", err))
		}
		if err := fault(p.Rows[i]); err != nil {
			return Page[T]{}, c.foreign(r, err)
		}
	}
	if p.Next != "" && (p.Next == q.Cursor || len(p.Rows) == 0) {
		return Page[T]{}, c.foreign(r, errors.New("does not lead on"))
	}
	return p, nil
}
