package api

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// unmatched is the endpoint of requests whose path no route has.
const unmatched = "unmatched"

// endpoint answers a request. id is the UUID in the path, if the route has one. A returned error becomes the answer.
type endpoint func(w http.ResponseWriter, r *http.Request, id uuid.UUID) error

// route is one line of the table of endpoints. A parameter in a pattern is a UUID; a pattern has at most one.
type route struct {
	method  string // HEAD comes with GET
	pattern string // as the contract writes it
	handle  endpoint
}

// routes is the table of endpoints (contract, section 4).
func (s *server) routes() []route {
	table := []route{
		{http.MethodGet, "/health", s.health},
		{http.MethodGet, "/ready", s.ready},
		{http.MethodPost, "/task", s.createTasks},
		{http.MethodGet, "/task/{task_id}", s.showTask},
		{http.MethodPatch, "/task/{task_id}", s.reportTask},
		{http.MethodPut, "/task/{task_id}", s.addProgress},
		{http.MethodDelete, "/task/{task_id}", s.cancelTask},
		{http.MethodPatch, "/task/pause/{task_id}", s.pauseTask},
		{http.MethodPatch, "/task/resume/{task_id}", s.resumeTask},
		{http.MethodGet, "/batch/{batch_id}", s.showBatch},
		{http.MethodDelete, "/batch/{batch_id}", s.stopBatch},
		{http.MethodGet, "/dag/{batch_id}", s.showGraph},
	}
	if s.Metrics != nil {
		table = append(table, route{http.MethodGet, "/metrics", s.metrics})
	}
	return table
}

// router makes a handler of the table. Paths and methods are matched here, not by http.ServeMux, so that every answer has
// the one shape of errors.
func (s *server) router(table []route) http.Handler {
	methods := map[string]map[string]endpoint{}
	for _, r := range table {
		if methods[r.pattern] == nil {
			methods[r.pattern] = map[string]endpoint{}
		}
		methods[r.pattern][r.method] = r.handle
		if r.method == http.MethodGet {
			methods[r.pattern][http.MethodHead] = r.handle
		}
	}
	handlers := map[string]http.Handler{}
	for pattern, byMethod := range methods {
		handlers[pattern] = s.serve(pattern, dispatch(pattern, byMethod))
	}
	known := newMatcher(handlers)
	missing := s.serve(unmatched, func(http.ResponseWriter, *http.Request) error {
		return &problem{Status: http.StatusNotFound, Message: "no such path"}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A path that is not clean is another one, and proxies may see in it what we do not.
		handler := missing
		if p := r.URL.Path; path.IsAbs(p) && path.Clean(p) == p {
			if found := known.match(r); found != nil {
				handler = found
			}
		}
		handler.ServeHTTP(w, r)
	})
}

// dispatch finds the endpoint of a method, and reads the UUID in the path.
func dispatch(pattern string, byMethod map[string]endpoint) func(http.ResponseWriter, *http.Request) error {
	allowed := make([]string, 0, len(byMethod))
	for method := range byMethod {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	_, name, _ := strings.Cut(pattern, "{")
	name, _, _ = strings.Cut(name, "}")

	return func(w http.ResponseWriter, r *http.Request) error {
		handle, ok := byMethod[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			return &problem{Status: http.StatusMethodNotAllowed, Message: "method not allowed here"}
		}
		var id uuid.UUID
		if name != "" {
			if id, ok = parseUUID(r.PathValue(name)); !ok {
				return invalid("the path holds no UUID", name+": must be a UUID")
			}
		}
		return handle(w, r, id)
	}
}

// parseUUID reads the spellings of the contract's section 1.3: hyphenated, 32 hex digits, braced or urn form.
func parseUUID(text string) (uuid.UUID, bool) {
	switch len(text) {
	case 32, 36:
	case 38:
		if text[0] != '{' || text[37] != '}' {
			return uuid.UUID{}, false
		}
	case 45:
		if !strings.EqualFold(text[:9], "urn:uuid:") {
			return uuid.UUID{}, false
		}
	default:
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// serve makes a handler of f: it writes the error that f returns, survives a panic, and tells Observe.
func (s *server) serve(endpoint string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := time.Now()
		w := &response{ResponseWriter: rw}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(w, r, p)
			}
			s.Observe(endpoint, r.Method, w.sent(), time.Since(began))
		}()
		if err := f(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// response remembers the status that was sent.
type response struct {
	http.ResponseWriter
	status int
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sent returns the status of the answer; one that was never written becomes 200 in net/http.
func (w *response) sent() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// gone reports an error that comes from a client which does not wait for the answer any more.
func gone(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && r.Context().Err() != nil
}
