// Package api is the HTTP interface (contract, sections 2 to 4 and 12). It checks what a request says about itself,
// calls the store, and writes answers and errors in their one shape. What a request means for tasks is decided by the
// engine.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/api/openapi"
	"github.com/taskrunner/taskrunner/internal/bearer"
	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/requestid"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
	"github.com/taskrunner/taskrunner/internal/view"
)

// Store is what the API needs of internal/store.
type Store interface {
	Submit(ctx context.Context, batchID uuid.UUID, body []byte) ([]task.Task, error)
	SubmitOnce(ctx context.Context, key task.IdempotencyKey, batchID uuid.UUID, body []byte) (task.Submitted, error)
	SubmitFaults(ctx context.Context, body []byte, known []task.Fault) error
	Task(ctx context.Context, id uuid.UUID) (task.Task, error)
	BlockedBy(ctx context.Context, id uuid.UUID) (json.RawMessage, error)
	ListTasks(ctx context.Context, f task.Filter, p task.Page) ([]task.Basic, *task.Position, error)
	ListBatches(ctx context.Context, f task.BatchFilter, p task.Page) ([]task.ListedBatch, *task.Position, error)
	Batch(ctx context.Context, id uuid.UUID) (task.Batch, error)
	Graph(ctx context.Context, batchID uuid.UUID) (task.Graph, error)
	Report(ctx context.Context, r task.Report) (task.Task, error)
	AddProgress(ctx context.Context, p task.Progress) error
	Cancel(ctx context.Context, id uuid.UUID) (task.Task, error)
	Pause(ctx context.Context, id uuid.UUID) (task.Task, error)
	Resume(ctx context.Context, id uuid.UUID) (task.Task, error)
	StopBatch(ctx context.Context, id uuid.UUID) (task.Stopped, error)
	SetBatchRules(ctx context.Context, id uuid.UUID, body []byte) (int64, error)
	TaskDeliveries(ctx context.Context, taskID uuid.UUID, p task.Page) ([]task.LoggedDelivery, *task.Position, error)
	Deliveries(ctx context.Context, f task.DeliveryFilter, p task.Page) ([]task.DeliveryInfo, *task.Position, error)
	ReplayDelivery(ctx context.Context, id uuid.UUID) (task.DeliveryInfo, error)
	ReplayDeliveries(ctx context.Context, f task.DeliveryFilter) (int64, error)
	Ping(ctx context.Context) error
	Stat() (size, idle int)
	ViewGraph(ctx context.Context, batchID uuid.UUID, most int) (task.ViewGraph, error)
	ViewStates(ctx context.Context, batchID uuid.UUID, most int, links bool) (task.ViewStates, error)
	Surroundings(ctx context.Context, taskID uuid.UUID) (task.Surroundings, error)
	Overview(ctx context.Context, ended []task.MinuteCount) (task.Overview, error)
}

// Config is what the API works with.
type Config struct {
	Store           Store           // required
	Handles         *handle.Signer  // required
	MaxBodyBytes    int64           // > 0; MAX_BODY_BYTES
	BodyMemory      int64           // bytes that large bodies may take at once; 0: 256 MiB, or four of the largest if that is more
	PageSize        int             // > 0; PAGINATION_DEFAULT
	MaxPageSize     int             // >= PageSize; PAGINATION_MAX
	IdempotencyLife time.Duration   // > 0; RETENTION_IDEMPOTENCY_SECS
	RetryAfter      time.Duration   // told to clients with 503; at least a second
	View            *view.Hub       // tells the web page what changes; nil: GET /view/events is refused
	ViewTasks       int             // most tasks of a batch that the web page draws; 0: view.MostTasks
	MaxInFlight     int             // requests that are served at once; 0: any number. POOL_MAX_IN_FLIGHT
	Log             *slog.Logger    // nil: slog.Default()
	Tracer          *tracing.Tracer // may be nil
	Metrics         http.Handler    // required; GET /metrics
	Egress          *egress.Policy  // where webhooks may go; nil: to public addresses

	Tokens        bearer.Tokens // who may call; none: the API is open
	PublicMetrics bool          // GET /metrics needs no token

	// DatabaseAway says whether requests that need the database are refused at once. nil: never.
	DatabaseAway func() bool
	// Ready says whether this process wants requests, and if not, why (GET /ready). nil: always.
	Ready func() (ok bool, reason string)
	// ListenerState is what GET /health shows, "connected" or "polling". nil: polling.
	ListenerState func() string
	// Observe is told of every answer: the pattern of its path as the contract writes it, or unmatched; the method as
	// sent. May be nil.
	Observe func(endpoint, method string, status int, took time.Duration)
	// Created is told of tasks that POST /task created. May be nil.
	Created func([]task.Task)
	// InFlight is told how many requests more, or less, are served. May be nil.
	InFlight func(delta int)
	// Shed is told why a request was refused to keep the others going: in_flight or database. May be nil.
	Shed func(reason string)
	// AuthFailed is told of each 401 and 403. May be nil.
	AuthFailed func(status int)
}

// server holds the handlers of the endpoints.
type server struct {
	Config
	log      *slog.Logger
	document []byte // the OpenAPI document
	layouts  *view.Layouts
	overview *view.Overview

	drawing  chan struct{} // holds a token for each batch that is drawn
	inFlight atomic.Int64
	bodies   budget
	shedding shedLog
}

// New returns the handler of all endpoints.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Store == nil, c.Handles == nil, c.Metrics == nil:
		return nil, errors.New("api: Store, Handles and Metrics are required")
	case c.MaxBodyBytes <= 0:
		return nil, errors.New("api: MaxBodyBytes must be positive")
	case c.IdempotencyLife <= 0:
		return nil, errors.New("api: IdempotencyLife must be positive")
	case c.PageSize <= 0, c.MaxPageSize < c.PageSize:
		return nil, errors.New("api: PageSize must be positive and at most MaxPageSize")
	}
	c.Egress = cmp.Or(c.Egress, egress.Public())
	c.ViewTasks = cmp.Or(c.ViewTasks, view.MostTasks)
	c.RetryAfter = max(c.RetryAfter, time.Second)
	if c.BodyMemory == 0 {
		c.BodyMemory = max(leastBudget, budgetBodies*c.MaxBodyBytes)
	}
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
	if c.InFlight == nil {
		c.InFlight = func(int) {}
	}
	if c.Shed == nil {
		c.Shed = func(string) {}
	}
	if c.AuthFailed == nil {
		c.AuthFailed = func(int) {}
	}
	if c.DatabaseAway == nil {
		c.DatabaseAway = func() bool { return false }
	}
	document, err := openapi.JSON()
	if err != nil {
		return nil, fmt.Errorf("api: the OpenAPI document: %w", err)
	}
	s := &server{Config: c, document: document, layouts: view.NewLayouts(), drawing: make(chan struct{}, drawnAtOnce), overview: view.NewOverview(c.Store.Overview),
		log: tracing.Logger(requestid.Logger(c.Log)).With("component", "api")}
	return s.router(s.routes()), nil
}

// Limits of Server.
const (
	readHeaderTimeout = 10 * time.Second
	// maxHeaderBytes leaves room for a filter by metadata of the largest size, percent-encoded.
	maxHeaderBytes = 256 << 10
	// readTimeout is what is left to bound a request when serve and readBody, which set shorter limits of their own, have
	// none for it. It must be longer than any request without a body is worked on: it ends its context.
	readTimeout = 5 * time.Minute
	// writeTimeout counts from the end of the header, so it holds the body, the work and the answer; a large answer gets
	// its own limit when it is sent.
	writeTimeout = 15 * time.Minute
	idleTimeout  = 2 * time.Minute
)

// Server returns an HTTP server for the handler, with the limits that keep slow clients from filling it. It is meant for
// a Listener.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.With("component", "http").Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // OPTIONS * is an unknown path like any other
	}
}
