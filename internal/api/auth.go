package api

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/bearer"
	"github.com/taskrunner/taskrunner/internal/task"
)

// permit checks who sends a request (contract, section 3), and notes in its call what later steps want to know. about is
// the task that the path names, nil for none. A bearer token of the scope suffices, and so does the token of a handle
// where the route takes one; a request that has only a wrong handle token is refused even where everybody may call.
func (s *server) permit(r *http.Request, to route, about *uuid.UUID) error {
	if to.scope == bearer.None {
		return nil
	}
	c := callOf(r)
	var h handleQuery
	if about != nil {
		h = s.readHandle(r, *about)
		c.attempt = h.attempt
	}
	caller := s.caller(r)
	switch {
	case caller.Scope >= to.scope:
		c.token = caller.Name
	case h.valid && to.manner == byHandle:
	case caller.Scope != bearer.None:
		return &problem{Status: http.StatusForbidden, Message: fmt.Sprintf("the scope of this token does not permit it: %s is needed", to.scope)}
	case h.token && !h.valid:
		return unauthorized("the handle token is not valid for this task and attempt")
	case len(s.Tokens) > 0:
		return unauthorized("a valid bearer token is needed")
	}
	return h.fault
}

// unauthorized is a 401. It does not say what exactly was wrong.
func unauthorized(message string) error {
	return &problem{Status: http.StatusUnauthorized, Message: message}
}

// caller returns the bearer token that a request presents, one without scope if there is none that is known.
func (s *server) caller(r *http.Request) bearer.Token {
	if len(s.Tokens) == 0 {
		return bearer.Token{} // what proxies and clients put there is nobody's concern
	}
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return bearer.Token{}
	}
	scheme, secret, _ := strings.Cut(headers[0], " ")
	secret = strings.TrimLeft(secret, " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return bearer.Token{}
	}
	return s.Tokens.Find(secret)
}

// handleQuery is the query of a handle (contract, section 3.2).
type handleQuery struct {
	attempt *int32 // for which the request speaks; nil if it does not say
	token   bool   // there is one
	valid   bool   // it is that of the task and the attempt
	fault   error  // what is wrong with the query, apart from the token
}

// readHandle reads the query of a request about one task.
func (s *server) readHandle(r *http.Request, id uuid.UUID) (h handleQuery) {
	if r.URL.RawQuery == "" {
		return h
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.fault = invalid("the query string is malformed")
		return h
	}
	for _, name := range []string{"attempt", "token"} {
		if len(query[name]) > 1 {
			h.fault = invalid(validation, name+": must occur only once")
			return h
		}
	}
	h.attempt, h.fault = parseAttempt(query)
	if h.token = query.Has("token"); h.token && h.attempt != nil {
		h.valid = s.Handles.Verify(id, *h.attempt, query.Get("token"))
	}
	return h
}

// parseAttempt reads the attempt of a query. A number beyond int32 is an attempt that has not begun, like any other
// that is too high.
func parseAttempt(query url.Values) (*int32, error) {
	if !query.Has("attempt") {
		return nil, nil
	}
	text := query.Get("attempt")
	for _, c := range text {
		if c < '0' || c > '9' {
			text = ""
		}
	}
	if text == "" {
		return nil, invalid(validation, "attempt: must be a number")
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		n = math.MaxInt32
	}
	attempt := int32(n)
	return &attempt, nil
}

// checkAttempt compares the attempt for which a request speaks with the present one.
func checkAttempt(attempt *int32, t task.Task) error {
	switch {
	case attempt == nil || *attempt == t.Attempt:
		return nil
	case *attempt < t.Attempt:
		return &problem{Status: http.StatusConflict, Message: "this attempt is over", CurrentStatus: t.Status}
	}
	return invalid(validation, "attempt: has not begun")
}

// presentAttempt refuses a request that speaks for another attempt than the present one, so that nobody acts on a task by
// an old handle. Endpoints that are called by handle see to that themselves, where they have the task in hand.
func (s *server) presentAttempt(r *http.Request, id uuid.UUID) error {
	attempt := attemptOf(r)
	if attempt == nil {
		return nil
	}
	t, err := s.Store.Task(r.Context(), id)
	if err != nil {
		return err
	}
	return checkAttempt(attempt, t)
}
