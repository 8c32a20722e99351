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

// batchRules is the answer of PATCH /batch/{batch_id}/rules.
type batchRules struct {
	BatchID      uuid.UUID `json:"batch_id"`
	Kind         string    `json:"kind"`
	UpdatedCount int64     `json:"updated_count"`
}

// ruleIntegers are the places of integers in rules.
var ruleIntegers = []string{"rules.*.max_concurency", "rules.*.max_concurrency", "rules.*.max_capacity"}

// setBatchRules is PATCH /batch/{batch_id}/rules. The engine judges the members, since it does so for SQL as well.
func (s *server) setBatchRules(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	f, err := s.readFields(w, r, ruleIntegers...)
	if err != nil {
		return err
	}
	if err := f.err(); err != nil {
		return err
	}
	updated, err := s.Store.SetBatchRules(r.Context(), id, f.body)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, batchRules{BatchID: id, Kind: *f.text("kind"), UpdatedCount: updated})
}
