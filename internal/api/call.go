package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/requestid"
	"github.com/taskrunner/taskrunner/internal/tracing"
)

// call is what becomes known of a request while it is served. It belongs to the goroutine that serves it.
type call struct {
	id      string // of the request
	began   time.Time
	token   string            // name of the bearer token that permitted it
	attempt *int32            // for which it speaks
	sent    [sha256.Size]byte // SHA-256 of the body as it was sent, if there is an Idempotency-Key
	held    int64             // bytes of the body's memory that are taken from the common budget
	read    bool              // the body was read to its end
	shed    bool              // it was refused because there is too much to do
	took    time.Duration     // until a stream began; 0: it is none
	err     error             // why it was refused
	stack   []byte            // where it panicked
	about   string            // the name of what it is about: task_id, batch_id or delivery_id; "" when that is nothing of these
	aboutID uuid.UUID
}

type callKey struct{}

func callOf(r *http.Request) *call { return r.Context().Value(callKey{}).(*call) }

// tokenName is the name of the bearer token that permitted a request; "" when the API is open or a handle permitted it.
func tokenName(r *http.Request) string { return callOf(r).token }

// attemptOf is the attempt for which a request about a task speaks, nil if it does not say (contract, section 3.2).
func attemptOf(r *http.Request) *int32 { return callOf(r).attempt }

// Values of headers, which nobody changes.
var (
	noSniff         = []string{"nosniff"}
	noStore         = []string{"no-store"}
	applicationJSON = []string{"application/json"}
)

// about notes what a request is about, for the log and the trace.
func about(r *http.Request, name string, id uuid.UUID) {
	c := callOf(r)
	c.about, c.aboutID = name, id
	tracing.Note(r.Context(), name, id)
}

// trace begins the span of a request that is permitted. Whoever is not permitted does not decide what is recorded.
func (s *server) trace(r *http.Request, pattern string) {
	ctx := s.Tracer.Request(r.Context(), r, pattern)
	if ctx == r.Context() {
		return
	}
	*r = *r.WithContext(ctx) // also for serve, whose request it is
	if c := callOf(r); c.about != "" {
		tracing.Note(ctx, c.about, c.aboutID)
	}
}

// unreadGrace is how long the rest of a body may take that nobody reads: net/http takes it in before it answers.
const unreadGrace = 2 * time.Second

// serve answers a request by f: it writes the error that f returns, survives a panic, logs, traces, and tells Observe.
func (s *server) serve(rw http.ResponseWriter, r *http.Request, at *resource, f func(http.ResponseWriter, *http.Request) error) {
	began := time.Now()
	c := &call{id: requestid.Of(r.Header), began: began}
	w := &response{ResponseWriter: rw, call: c, hasBody: r.ContentLength != 0}
	r = r.WithContext(context.WithValue(requestid.With(r.Context(), c.id), callKey{}, c))
	header := w.Header() // Set would make a slice of each value, for each request
	header[requestid.Header] = []string{c.id}
	header["X-Content-Type-Options"] = noSniff
	header["Cache-Control"] = noStore // endpoints whose answers may be kept say so

	defer func() { s.bodies.giveBack(c.held) }()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
				panic(p)
			}
			c.err, c.stack = fmt.Errorf("panic: %v", p), debug.Stack()
			if w.status == 0 {
				s.fail(w, r, c.err)
			}
		}
		took := cmp.Or(c.took, time.Since(began))
		s.logCall(r, w, took)
		s.Observe(at.pattern, r.Method, w.sent(), took)
		tracing.EndRequest(r.Context(), w.sent())
	}()
	if err := f(w, r); err != nil {
		c.err = err
		s.fail(w, r, err)
	}
}

// longestPath is how much of a path is logged.
const longestPath = 200

// logCall logs a request: without its query, in which handles and filters have their secrets, and without any header.
func (s *server) logCall(r *http.Request, w *response, took time.Duration) {
	c := callOf(r)
	status := w.sent()
	level, message := slog.LevelDebug, "request"
	switch {
	case status == http.StatusInternalServerError || c.stack != nil:
		level, message = slog.LevelError, "request failed"
	case status == http.StatusServiceUnavailable && c.err != nil && !c.shed:
		level, message = slog.LevelWarn, "request not served"
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path[:min(len(r.URL.Path), longestPath)]),
		slog.Int("status", status), slog.Int64("bytes", w.bytes), slog.Duration("took", took),
	}
	if c.about != "" {
		attributes = append(attributes, slog.String(c.about, c.aboutID.String()))
	}
	if c.token != "" {
		attributes = append(attributes, slog.String("token", c.token))
	}
	if c.err != nil {
		attributes = append(attributes, slog.Any("error", c.err))
	}
	if c.stack != nil {
		attributes = append(attributes, slog.String("stack", string(c.stack)))
	}
	s.log.LogAttrs(r.Context(), level, message, attributes...)
}

// response remembers what was sent, and does not let an answer wait for a body that nobody reads, or reads on.
type response struct {
	http.ResponseWriter
	call    *call
	hasBody bool // of the request
	status  int
	bytes   int64 // of the body of the answer
}

func (w *response) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

// begin notes the status of the answer; the first one counts.
func (w *response) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.hasBody && !w.call.read {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadGrace)) // fails only without a connection, in tests
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
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
