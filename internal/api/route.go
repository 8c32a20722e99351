package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"

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
	stream          // goes on for as long as the client wants: not one of the requests that are in progress
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
	metrics := bearer.Read
	if s.PublicMetrics {
		metrics = bearer.None
	}
	return []route{
		{http.MethodGet, "/health", bearer.None, exempt, s.health},
		{http.MethodGet, "/ready", bearer.None, exempt, s.ready},
		{http.MethodGet, "/metrics", metrics, exempt, s.metrics},
		{http.MethodGet, "/task", bearer.Read, plain, s.listTasks},
		{http.MethodGet, "/view", bearer.None, exempt, s.showView},
		{http.MethodGet, "/view/assets/*", bearer.None, exempt, s.showAsset},
		{http.MethodGet, "/view/events", bearer.Read, stream, s.viewEvents},
		{http.MethodGet, "/view/overview", bearer.Read, plain, s.viewOverview},
		{http.MethodGet, "/view/task/{task_id}", bearer.Read, plain, s.viewTask},
		{http.MethodGet, "/view/graph/{batch_id}", bearer.Read, plain, s.viewGraph},
		{http.MethodGet, "/view/states/{batch_id}", bearer.Read, plain, s.viewStates},
		{http.MethodGet, "/icon.png", bearer.None, exempt, s.showIcon},
		{http.MethodGet, "/favicon.ico", bearer.None, exempt, s.showIcon},
		{http.MethodPost, "/task", bearer.Write, plain, s.createTasks},
		{http.MethodGet, "/task/{task_id}", bearer.Read, byHandle, s.showTask},
		{http.MethodPatch, "/task/{task_id}", bearer.Write, byHandle, s.reportTask},
		{http.MethodPut, "/task/{task_id}", bearer.Write, byHandle, s.addProgress},
		{http.MethodDelete, "/task/{task_id}", bearer.Write, plain, s.cancelTask},
		{http.MethodPatch, "/task/pause/{task_id}", bearer.Write, plain, s.pauseTask},
		{http.MethodPatch, "/task/resume/{task_id}", bearer.Write, plain, s.resumeTask},
		{http.MethodGet, "/batches", bearer.Read, plain, s.listBatches},
		{http.MethodGet, "/task/{task_id}/deliveries", bearer.Read, plain, s.taskDeliveries},
		{http.MethodGet, "/deliveries", bearer.Read, plain, s.listDeliveries},
		{http.MethodPost, "/deliveries/replay", bearer.Admin, plain, s.replayDeliveries},
		{http.MethodPost, "/delivery/{delivery_id}/replay", bearer.Admin, plain, s.replayDelivery},
		{http.MethodGet, "/batch/{batch_id}", bearer.Read, plain, s.showBatch},
		{http.MethodDelete, "/batch/{batch_id}", bearer.Write, plain, s.stopBatch},
		{http.MethodPatch, "/batch/{batch_id}/rules", bearer.Write, plain, s.setBatchRules},
		{http.MethodGet, "/dag/{batch_id}", bearer.Read, plain, s.showGraph},
		{http.MethodGet, "/api-docs/openapi.json", bearer.None, exempt, s.showDocument},
		{http.MethodGet, "/swagger-ui/*", bearer.None, exempt, s.showSwaggerUI},
	}
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
			s.serve(w, r, &resource{pattern: unmatched}, func(http.ResponseWriter, *http.Request) error {
				return errNoPath
			})
			return
		}
		s.serve(w, r, at, func(w http.ResponseWriter, r *http.Request) error {
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
			return invalid(validation, at.parameter+": must be a UUID")
		}
		about(r, at.parameter, id)
	}
	var taskID *uuid.UUID
	if at.parameter == "task_id" {
		taskID = &id
	}
	if err := s.permit(r, to, taskID); err != nil {
		return err
	}
	if to.manner != exempt && to.manner != stream && to.scope != bearer.None {
		s.trace(r, at.pattern)
	}
	if to.manner != exempt && to.manner != stream {
		if err := s.enter(r); err != nil {
			return err
		}
		defer s.leave()
	}
	if to.manner != byHandle {
		if err := s.presentAttempt(r, id); err != nil {
			return err
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
