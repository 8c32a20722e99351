package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/bearer"
)

// unmatched is the endpoint of requests whose path no route has.
const unmatched = "unmatched"

// endpoint answers a request. id is the UUID in the path, if the route has one. A returned error becomes the answer.
type endpoint func(w http.ResponseWriter, r *http.Request, id uuid.UUID) error

// manner is what else is special about a route.
type manner uint8

const (
	plain    manner = iota
	exempt          // from load shedding: it says how the process is, or costs nothing
	byHandle        // the token in a task's handle permits it too
)

// route is one line of the table of endpoints. A parameter in a pattern is a UUID; a pattern has at most one.
type route struct {
	method  string // HEAD comes with GET
	pattern string // as the contract writes it
	scope   bearer.Scope
	manner  manner
	handle  endpoint
}

// routes is the table of endpoints (contract, sections 3.1, 3.2 and 4).
func (s *server) routes() []route {
	table := []route{
		{http.MethodGet, "/health", bearer.None, exempt, s.health},
		{http.MethodGet, "/ready", bearer.None, exempt, s.ready},
		{http.MethodPost, "/task", bearer.Write, plain, s.createTasks},
		{http.MethodGet, "/task/{task_id}", bearer.Read, byHandle, s.showTask},
		{http.MethodPatch, "/task/{task_id}", bearer.Write, byHandle, s.reportTask},
		{http.MethodPut, "/task/{task_id}", bearer.Write, byHandle, s.addProgress},
		{http.MethodDelete, "/task/{task_id}", bearer.Write, plain, s.cancelTask},
		{http.MethodPatch, "/task/pause/{task_id}", bearer.Write, plain, s.pauseTask},
		{http.MethodPatch, "/task/resume/{task_id}", bearer.Write, plain, s.resumeTask},
		{http.MethodGet, "/batch/{batch_id}", bearer.Read, plain, s.showBatch},
		{http.MethodDelete, "/batch/{batch_id}", bearer.Write, plain, s.stopBatch},
		{http.MethodGet, "/dag/{batch_id}", bearer.Read, plain, s.showGraph},
	}
	if s.Metrics != nil {
		table = append(table, route{http.MethodGet, "/metrics", bearer.Read, exempt, s.metrics})
	}
	return table
}

// resource is a pattern with the routes that differ by method only.
type resource struct {
	pattern   string
	parameter string // the name in the pattern, "" without one
	methods   map[string]route
	allow     string // the header of that name
}

// router makes a handler of the table. Paths and methods are matched here, not by http.ServeMux, so that every answer has
// the one shape of errors.
func (s *server) router(table []route) http.Handler {
	paths := &node{}
	for _, r := range table {
		at := paths.add(r.pattern)
		if at.methods == nil {
			at.methods = map[string]route{}
		}
		at.methods[r.method] = r
		if r.method == http.MethodGet {
			at.methods[http.MethodHead] = r
		}
		at.allow = strings.Join(slices.Sorted(maps.Keys(at.methods)), ", ")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, segment := paths.find(r.URL)
		if at == nil {
			s.serve(w, r, unmatched, func(http.ResponseWriter, *http.Request) error {
				return &problem{Status: http.StatusNotFound, Message: "no such path"}
			})
			return
		}
		s.serve(w, r, at.pattern, func(w http.ResponseWriter, r *http.Request) error {
			return s.dispatch(w, r, at, segment)
		})
	})
}

// dispatch checks a request as far as its route says (contract, section 2, order of checks), and calls the endpoint.
func (s *server) dispatch(w http.ResponseWriter, r *http.Request, at *resource, segment string) error {
	to, ok := at.methods[r.Method]
	if !ok {
		w.Header().Set("Allow", at.allow)
		return &problem{Status: http.StatusMethodNotAllowed, Message: "method not allowed here"}
	}
	var id uuid.UUID
	if at.parameter != "" {
		if id, ok = parseUUID(segment); !ok {
			return invalid("the path holds no UUID", at.parameter+": must be a UUID")
		}
	}
	return to.handle(w, r, id)
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

// serve answers a request by f: it writes the error that f returns, survives a panic, and tells Observe.
func (s *server) serve(rw http.ResponseWriter, r *http.Request, endpoint string, f func(http.ResponseWriter, *http.Request) error) {
	began := time.Now()
	w := &response{ResponseWriter: rw}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, &call{}))
	defer func() {
		if p := recover(); p != nil {
			s.panicked(w, r, p)
		}
		s.Observe(endpoint, r.Method, w.sent(), time.Since(began))
	}()
	if err := f(w, r); err != nil {
		s.fail(w, r, err)
	}
}

// call is what becomes known of a request while it is served.
type call struct {
	token string // name of the bearer token that was presented, "" without one
}

type callKey struct{}

func callOf(r *http.Request) *call { return r.Context().Value(callKey{}).(*call) }

// tokenName is the name of the bearer token that permitted a request; "" when the API is open or a handle permitted it.
func tokenName(r *http.Request) string { return callOf(r).token }

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
