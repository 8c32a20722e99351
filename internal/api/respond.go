package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
)

// problem is the body of every error (contract, section 2).
type problem struct {
	Message       string      `json:"error"` // for people
	Status        int         `json:"status"`
	Details       []string    `json:"details,omitempty"` // "<field path>: <message>" each
	BatchID       *uuid.UUID  `json:"batch_id,omitempty"`
	CurrentStatus task.Status `json:"current_status,omitempty"`
	RequestID     string      `json:"request_id"` // filled in when it is sent
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Message) }

// validation is the text of every error with a list of wrong fields.
const validation = "Validation failed"

// invalid is a 400.
func invalid(message string, details ...string) *problem {
	return &problem{Status: http.StatusBadRequest, Message: message, Details: details}
}

// errNoPath is the answer to a path that does not exist.
var errNoPath = &problem{Status: http.StatusNotFound, Message: "no such path"}

// statusClientGone is seen by nobody who waits for the answer: net/http takes a connection that is closed on one side for
// one that is closed.
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
	task.CodeTooLarge:    http.StatusConflict,
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
	c := callOf(r)
	if errors.Is(err, store.ErrAway) {
		s.noteShed(r, shedDatabase)
	}
	p := toProblem(err)
	switch {
	case gone(r, err):
		p = &problem{Status: statusClientGone, Message: "the client closed its side of the connection"}
	case p == nil:
		p = &problem{Status: http.StatusInternalServerError, Message: "internal error, request " + c.id}
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(s.RetryAfter.Seconds()))))
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.AuthFailed(p.Status)
	case http.StatusForbidden:
		s.AuthFailed(p.Status)
	}
	answer := *p // some problems are shared
	answer.RequestID = c.id
	body, err := encode(&answer)
	if err != nil { // no field of a problem can fail to be encoded
		panic(err)
	}
	write(w, p.Status, body)
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

// Limits of what takes its time to be sent or received: both get grace, and then as long as the bytes take at slowest.
const (
	grace   = 30 * time.Second
	slowest = 256 << 10 // bytes a second
)

// allowed is how long n bytes may take.
func allowed(n int64) time.Duration { return grace + time.Duration(n)*time.Second/slowest }

// smallAnswer is what the buffers of a connection take in, however slowly the client reads.
const smallAnswer = 32 << 10

// write sends an answer. That the client did not take it is nobody's concern here; but it must not keep the answer in
// memory for longer than it needs.
func write(w http.ResponseWriter, status int, body []byte) {
	if len(body) > smallAnswer {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed(int64(len(body)))))
	}
	header := w.Header()
	header["Content-Type"] = applicationJSON
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
