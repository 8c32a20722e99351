package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/store"
)

// probeTimeout bounds what /health and /ready ask of the database.
const probeTimeout = 2 * time.Second

// health is GET /health: does this process reach its database? A listener that is not connected is no illness.
func (s *server) health(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	answer := struct {
		Status   string `json:"status"`
		Database string `json:"database"`
		PoolSize int    `json:"pool_size"`
		PoolIdle int    `json:"pool_idle"`
		Listener string `json:"listener"`
	}{Status: "ok", Database: "healthy", Listener: s.ListenerState()}
	status := http.StatusOK
	if err := s.probe(r); err != nil {
		answer.Status, answer.Database, status = "degraded", "unhealthy", http.StatusServiceUnavailable
	}
	answer.PoolSize, answer.PoolIdle = s.Store.Stat()
	return reply(w, status, answer)
}

// ready is GET /ready: does this process want requests?
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	type answer struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	ok, reason := s.Ready()
	if ok {
		if err := s.probe(r); err != nil {
			ok, reason = false, "cannot acquire database connection"
			if errors.Is(err, store.ErrPoolExhausted) {
				reason = store.ErrPoolExhausted.Error()
			}
		}
	}
	if !ok {
		return reply(w, http.StatusServiceUnavailable, answer{Status: "not_ready", Reason: reason})
	}
	return reply(w, http.StatusOK, answer{Status: "ready"})
}

// probe asks the database, whether or not the client waits: a connection that is closed on its side is no illness of ours.
func (s *server) probe(r *http.Request) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), probeTimeout)
	defer cancel()
	return s.Store.Ping(ctx)
}

// metrics is GET /metrics.
func (s *server) metrics(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	s.Metrics.ServeHTTP(w, r)
	return nil
}
