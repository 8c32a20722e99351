package api

import (
	"net/http"

	"github.com/google/uuid"
)

// showBatch is GET /batch/{batch_id}.
func (s *server) showBatch(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	b, err := s.Store.Batch(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, b)
}

// showGraph is GET /dag/{batch_id}.
func (s *server) showGraph(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	g, err := s.Store.Graph(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, g)
}

// stopBatch is DELETE /batch/{batch_id}.
func (s *server) stopBatch(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	stopped, err := s.Store.StopBatch(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, stopped)
}
