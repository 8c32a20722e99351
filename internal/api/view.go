package api

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"

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
	g, err := s.Store.ViewGraph(r.Context(), id, s.ViewTasks)
	if err != nil {
		return err
	}
	replyCompressed(w, r, view.GraphJSON(g, s.layouts.Of(g)))
	return nil
}

// viewStates is GET /view/states/{batch_id}: what changes of these tasks, for a page whose stream of events fails.
func (s *server) viewStates(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	states, err := s.Store.ViewStates(r.Context(), id, s.ViewTasks, true)
	if err != nil {
		return err
	}
	replyCompressed(w, r, view.StatesJSON(states, nil))
	return nil
}

// replyCompressed answers with JSON that may be large.
func replyCompressed(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Vary", "Accept-Encoding")
	if len(body) > smallAnswer && httpgzip.Taken(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = httpgzip.Compress(body, gzip.BestSpeed)
	}
	write(w, http.StatusOK, body)
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
