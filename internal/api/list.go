package api

import (
	"math"
	"net/http"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// listTasks is GET /task.
func (s *server) listTasks(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	f := task.Filter{
		Status:   q.status("status"),
		BatchID:  q.uuid("batch_id"),
		Name:     q.text("name"),
		Kind:     q.text("kind"),
		Metadata: q.json("metadata"),
	}
	if n := q.integer("timeout", math.MinInt32, math.MaxInt32); n != nil {
		seconds := int32(*n)
		f.Timeout = &seconds
	}
	page := s.page(q, taskList, s.PageSize)
	if err := q.err(); err != nil {
		return err
	}
	tasks, next, err := s.Store.ListTasks(r.Context(), f, page)
	if err != nil {
		return err
	}
	return replyPage(w, taskList, tasks, next)
}

// listBatches is GET /batches.
func (s *server) listBatches(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	f := task.BatchFilter{
		Status:        q.status("status"),
		Name:          q.text("name"),
		Kind:          q.text("kind"),
		CreatedAfter:  q.since("created_after"),
		CreatedBefore: q.until("created_before"),
	}
	page := s.page(q, batchList, s.PageSize)
	if err := q.err(); err != nil {
		return err
	}
	batches, next, err := s.Store.ListBatches(r.Context(), f, page)
	if err != nil {
		return err
	}
	return replyPage(w, batchList, batches, next)
}
