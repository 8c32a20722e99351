package api

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/httpgzip"
	"github.com/taskrunner/taskrunner/internal/ui"
	"github.com/taskrunner/taskrunner/internal/view"
)

// showView is GET /view: a page without data, the same for everybody. Its script asks the API, with the token that it is given.
func (s *server) showView(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	return serveUI(w, r, ui.Page)
}

// showAsset is GET /view/assets/*, the files of the page.
func (s *server) showAsset(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	name := strings.TrimPrefix(r.URL.Path, "/view/assets/")
	if name == ui.Page {
		return errNoPath
	}
	return serveUI(w, r, name)
}

func serveUI(w http.ResponseWriter, r *http.Request, name string) error {
	found, err := ui.Serve(w, r, name)
	if err == nil && !found {
		err = errNoPath
	}
	return err
}

// viewGraph is GET /view/graph/{batch_id}: a batch as the page draws it.
func (s *server) viewGraph(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	return s.draw(w, r, func() ([]byte, error) {
		g, err := s.Store.ViewGraph(r.Context(), id, s.ViewTasks)
		if err != nil {
			return nil, err
		}
		return view.GraphJSON(g, s.layouts.Of(g)), nil
	})
}

// viewStates is GET /view/states/{batch_id}: what changes of these tasks, for a page whose stream of events fails.
func (s *server) viewStates(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	return s.draw(w, r, func() ([]byte, error) {
		states, err := s.Store.ViewStates(r.Context(), id, s.ViewTasks, true)
		if err != nil {
			return nil, err
		}
		return view.StatesJSON(states, nil), nil
	})
}

const (
	// drawnAtOnce is how many batches are read and written for the page at the same time: a large one takes some 100 MB.
	drawnAtOnce = 4
	// drawingWait is how long a request waits for that: it is in progress meanwhile, and others need to be as well.
	drawingWait = 10 * time.Second
)

// draw answers with what f makes of a batch, compressed for whoever takes that. Few are made at the same time, and all that are being
// sent take their memory from that of large bodies.
func (s *server) draw(w http.ResponseWriter, r *http.Request, f func() ([]byte, error)) error {
	body, err := s.drawn(r, f)
	if err != nil {
		return err
	}
	compressed := len(body) > smallAnswer && httpgzip.Taken(r)
	if compressed {
		body = httpgzip.Compress(body, gzip.BestSpeed)
	}
	if n := int64(len(body)); n > freeBody {
		if !s.bodies.take(n, s.BodyMemory) {
			return s.shed(r, shedInFlight, "too many large requests are in progress")
		}
		callOf(r).held += n
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if compressed {
		w.Header().Set("Content-Encoding", "gzip")
	}
	write(w, http.StatusOK, body)
	return nil
}

func (s *server) drawn(r *http.Request, f func() ([]byte, error)) ([]byte, error) {
	wait := time.NewTimer(drawingWait)
	defer wait.Stop()
	select {
	case s.drawing <- struct{}{}:
	case <-wait.C:
		return nil, s.shed(r, shedInFlight, "too many large batches are being drawn")
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	defer func() { <-s.drawing }()
	return f()
}

const (
	// keepalive is sent when there is nothing to tell, so that nobody between takes the connection for a dead one.
	keepaliveEvery = 15 * time.Second
	keepalive      = ":\n\n"
)

// viewEvents is GET /view/events: a stream of what changes of a batch.
func (s *server) viewEvents(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	batch := q.uuid("batch")
	if batch == nil && len(q.faults) == 0 {
		q.fault("batch", "is required")
	}
	if err := q.err(); err != nil {
		return err
	}
	if s.View == nil {
		return &problem{Status: http.StatusServiceUnavailable, Message: "this process tells nobody what changes"}
	}
	client, err := s.View.Subscribe(r.Context(), *batch)
	switch {
	case errors.Is(err, view.ErrFull):
		return s.shed(r, shedInFlight, err.Error())
	case errors.Is(err, view.ErrClosed):
		return &problem{Status: http.StatusServiceUnavailable, Message: err.Error()}
	case err != nil:
		return err
	}
	defer client.Close()
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // a request goes on at most so long; fails only without a connection, in tests
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for more
	c := callOf(r)
	c.took = time.Since(c.began)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	send := func(b []byte) bool {
		_ = out.SetWriteDeadline(time.Now().Add(allowed(int64(len(b)))))
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	tick := time.NewTicker(keepaliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-tick.C:
			if !send([]byte(keepalive)) {
				return nil
			}
		case <-client.Ready():
			events, more := client.Take()
			for _, e := range events {
				if !send(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.Name, e.Data)) {
					return nil
				}
			}
			if !more {
				return nil
			}
		}
	}
}

// viewTask is GET /view/task/{task_id}: what is shown about a task beside the task.
func (s *server) viewTask(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	around, err := s.Store.Surroundings(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, around)
}

// viewOverview is GET /view/overview: what goes on.
func (s *server) viewOverview(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	seen, err := s.overview.Get(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, seen)
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
