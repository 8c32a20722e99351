package api

import (
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// unauthorized is a 401. It does not say what exactly was wrong.
func unauthorized() error {
	return &problem{Status: http.StatusUnauthorized, Message: "the handle token is not valid for this task and attempt"}
}

// handleAttempt checks the query of a handle on a request about one task (contract, section 3.2), and returns the
// attempt for which the request speaks, nil if it does not say. A token must fit the task and the attempt; without one
// anybody may call.
func (s *server) handleAttempt(r *http.Request, id uuid.UUID) (*int32, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query string is malformed")
	}
	for _, name := range []string{"attempt", "token"} {
		if len(query[name]) > 1 {
			return nil, invalid("the query string is wrong", name+": must occur only once")
		}
	}
	attempt, wrong := parseAttempt(query)
	if query.Has("token") {
		if attempt == nil || !s.Handles.Verify(id, *attempt, query.Get("token")) {
			return nil, unauthorized()
		}
	}
	return attempt, wrong
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
		return nil, invalid("the query string is wrong", "attempt: must be a number")
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
