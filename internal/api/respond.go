package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// problem is the body of every error (contract, section 2).
type problem struct {
	Message       string      `json:"error"` // for people
	Status        int         `json:"status"`
	Details       []string    `json:"details,omitempty"` // "<field path>: <message>" each
	BatchID       *uuid.UUID  `json:"batch_id,omitempty"`
	CurrentStatus task.Status `json:"current_status,omitempty"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Message) }

// validation is the text of every error with a list of wrong fields.
const validation = "Validation failed"

// invalid is a 400.
func invalid(message string, details ...string) *problem {
	return &problem{Status: http.StatusBadRequest, Message: message, Details: details}
}

// statusClientGone is never seen by anybody: the client did not wait for the answer.
const statusClientGone = 499

// codes says which status each error of the domain is.
var codes = map[task.Code]int{
	task.CodeInvalid:     http.StatusBadRequest,
	task.CodeUnknown:     http.StatusNotFound,
	task.CodeState:       http.StatusConflict,
	task.CodeStale:       http.StatusConflict,
	task.CodeAhead:       http.StatusBadRequest,
	task.CodeOverflow:    http.StatusConflict,
	task.CodeTooMany:     http.StatusRequestEntityTooLarge,
	task.CodeKeyReused:   http.StatusUnprocessableEntity,
	task.CodeBusy:        http.StatusServiceUnavailable,
	task.CodeUnavailable: http.StatusServiceUnavailable,
}

// toProblem turns an error into what the client is told, nil if it is nothing a client may see.
func toProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var e *task.Error
	if !errors.As(err, &e) {
		return nil
	}
	status, ok := codes[e.Code]
	if !ok {
		return nil
	}
	p = &problem{Status: status, Message: e.Message, Details: e.Details, CurrentStatus: e.Status}
	if status == http.StatusBadRequest && len(p.Details) > 0 {
		p.Message = validation
	}
	return p
}

// fail answers with an error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if gone(r, err) {
		w.WriteHeader(statusClientGone)
		return
	}
	p := toProblem(err)
	switch {
	case p == nil:
		p = s.internal(r, err)
	case p.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(s.RetryAfter.Seconds()))))
		s.log.Warn("request not served", "method", r.Method, "path", r.URL.Path, "error", err)
	case p.Status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	default:
		s.log.Debug("request refused", "method", r.Method, "path", r.URL.Path, "status", p.Status, "error", err)
	}
	body, err := encode(p)
	if err != nil { // no field of a problem can fail to be encoded
		panic(err)
	}
	write(w, p.Status, body)
}

// internal logs an error that no client may see, and returns an answer by which it can be found in the log.
func (s *server) internal(r *http.Request, err error, more ...any) *problem {
	id := uuid.NewString()
	attributes := append([]any{"request_id", id, "method", r.Method, "path", r.URL.Path, slog.Any("error", err)}, more...)
	s.log.Error("request failed", attributes...)
	return &problem{Status: http.StatusInternalServerError, Message: "internal error, request " + id}
}

// panicked answers a request whose handler panicked.
func (s *server) panicked(w *response, r *http.Request, value any) {
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
		panic(value)
	}
	p := s.internal(r, fmt.Errorf("panic: %v", value), "stack", string(debug.Stack()))
	if w.status == 0 {
		s.fail(w, r, p)
	}
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, value any) error {
	body, err := encode(value)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	write(w, status, body)
	return nil
}

// encode writes compact JSON, with < > & as they are.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// write sends an answer. That the client did not take it is nobody's concern here.
func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
