package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/ui"
)

const (
	viewTasks   = 500 // tasks on the page of a batch
	viewBatches = 20  // batches on the page without one
	viewRefresh = 10  // seconds after which a browser loads the page of a batch again that has not ended
)

// showView is GET /view: a page about a batch. It needs no token, and a browser has none to send: with tokens configured
// it shows no data, nor whether there is any, but how to ask for it. It is a page also where there is no such batch, and
// says so.
func (s *server) showView(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	batch, given := q.value("batch")
	if err := q.err(); err != nil {
		return err
	}
	var id *uuid.UUID
	if parsed, ok := parseUUID(batch); ok {
		id = &parsed
	}
	switch {
	case given && id == nil:
		return replyView(w, ui.View{Title: "Which batch?", Message: "The parameter batch must be a UUID."})
	case len(s.Tokens) > 0:
		v := ui.View{Title: "A token is needed", Locked: true, Example: "…"}
		if id != nil {
			v.Example = id.String()
		}
		return replyView(w, v)
	case id == nil:
		return s.viewBatches(w, r)
	}
	return s.viewBatch(w, r, *id)
}

func (s *server) viewBatches(w http.ResponseWriter, r *http.Request) error {
	batches, _, err := s.Store.ListBatches(r.Context(), task.BatchFilter{}, task.Page{Size: viewBatches})
	if err != nil {
		return err
	}
	return replyView(w, ui.View{Title: "Which batch?", Batches: batches})
}

func (s *server) viewBatch(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	batch, err := s.Store.Batch(r.Context(), id)
	if p := toProblem(err); p != nil && p.Status == http.StatusNotFound {
		return replyView(w, ui.View{Title: "Which batch?", Message: fmt.Sprintf("There is no batch %s.", id)})
	} else if err != nil {
		return err
	}
	tasks, more, err := s.Store.ListTasks(r.Context(), task.Filter{BatchID: &id}, task.Page{Size: viewTasks})
	if err != nil {
		return err
	}
	slices.Reverse(tasks)
	v := ui.View{Title: "Batch " + id.String(), Batch: &batch, Tasks: tasks}
	if batch.BatchName != nil {
		v.Title = *batch.BatchName
	}
	if more != nil {
		v.Note = fmt.Sprintf("These are the last %d of %d tasks.", len(tasks), batch.TotalTasks)
	}
	if c := batch.StatusCounts; c.Success+c.Failure+c.Canceled < batch.TotalTasks {
		v.Refresh = viewRefresh
	}
	return replyView(w, v)
}

func replyView(w http.ResponseWriter, v ui.View) error {
	body, err := v.HTML()
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", ui.Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // that the client did not take it is nobody's concern
	return nil
}

// showIcon is GET /icon.png and GET /favicon.ico.
func (s *server) showIcon(w http.ResponseWriter, _ *http.Request, _ uuid.UUID) error {
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Content-Length", strconv.Itoa(len(ui.Icon)))
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(ui.Icon)
	return nil
}
