// Package api is the HTTP interface (contract, sections 2 to 4 and 12). It checks what a request says about itself,
// calls the store, and writes answers and errors in their one shape. What a request means for tasks is decided by the
// engine.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Store is what the API needs of internal/store.
type Store interface {
	Submit(ctx context.Context, batchID uuid.UUID, body []byte) ([]task.Task, error)
	SubmitOnce(ctx context.Context, key task.IdempotencyKey, batchID uuid.UUID, body []byte) (task.Submitted, error)
	Task(ctx context.Context, id uuid.UUID) (task.Task, error)
	Batch(ctx context.Context, id uuid.UUID) (task.Batch, error)
	Graph(ctx context.Context, batchID uuid.UUID) (task.Graph, error)
	Report(ctx context.Context, r task.Report) (task.Task, error)
	AddProgress(ctx context.Context, p task.Progress) error
	Cancel(ctx context.Context, id uuid.UUID) (task.Task, error)
	Pause(ctx context.Context, id uuid.UUID) (task.Task, error)
	Resume(ctx context.Context, id uuid.UUID) (task.Task, error)
	StopBatch(ctx context.Context, id uuid.UUID) (task.Stopped, error)
	Ping(ctx context.Context) error
	Stat() (size, idle int)
}

// Config is what the API works with.
type Config struct {
	Store           Store          // required
	Handles         *handle.Signer // required
	MaxBodyBytes    int64          // > 0; MAX_BODY_BYTES
	PageSize        int            // > 0; PAGINATION_DEFAULT
	MaxPageSize     int            // >= PageSize; PAGINATION_MAX
	IdempotencyLife time.Duration  // > 0; RETENTION_IDEMPOTENCY_SECS
	RetryAfter      time.Duration  // told to clients with 503; at least a second
	Log             *slog.Logger   // nil: slog.Default()
	Metrics         http.Handler   // GET /metrics; nil: no such path

	// Ready says whether this process wants requests, and if not, why (GET /ready). nil: always.
	Ready func() (ok bool, reason string)
	// ListenerState is what GET /health shows, "connected" or "polling". nil: polling.
	ListenerState func() string
	// Observe is told of every answer: the pattern of its path as the contract writes it, or unmatched; the method as
	// sent. May be nil.
	Observe func(endpoint, method string, status int, took time.Duration)
	// Created is told of tasks that POST /task created. May be nil.
	Created func([]task.Task)
}

// server holds the handlers of the endpoints.
type server struct {
	Config
	log *slog.Logger
}

// New returns the handler of all endpoints.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Store == nil, c.Handles == nil:
		return nil, errors.New("api: Store and Handles are required")
	case c.MaxBodyBytes <= 0:
		return nil, errors.New("api: MaxBodyBytes must be positive")
	case c.IdempotencyLife <= 0:
		return nil, errors.New("api: IdempotencyLife must be positive")
	case c.PageSize <= 0, c.MaxPageSize < c.PageSize:
		return nil, errors.New("api: PageSize must be positive and at most MaxPageSize")
	}
	c.RetryAfter = max(c.RetryAfter, time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Ready == nil {
		c.Ready = func() (bool, string) { return true, "" }
	}
	if c.ListenerState == nil {
		c.ListenerState = func() string { return "polling" }
	}
	if c.Observe == nil {
		c.Observe = func(string, string, int, time.Duration) {}
	}
	if c.Created == nil {
		c.Created = func([]task.Task) {}
	}
	s := &server{Config: c, log: c.Log.With("component", "api")}
	return s.router(s.routes()), nil
}

// Limits of Server.
const (
	readHeaderTimeout = 10 * time.Second
	// readTimeout bounds a whole request: the default MAX_BODY_BYTES at 2 MBit/s. A slow body occupies a goroutine and
	// its memory, never a connection to the database.
	readTimeout = 5 * time.Minute
	// writeTimeout counts from the end of the header, so it holds readTimeout, the work and the answer.
	writeTimeout = 15 * time.Minute
	idleTimeout  = 2 * time.Minute
)

// Server returns an HTTP server for the handler, with the timeouts that keep slow clients from filling it.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.With("component", "http").Handler(), slog.LevelDebug),
	}
}
