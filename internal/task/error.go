package task

import "fmt"

// Code classifies an error that a caller may see; the API maps each to one status.
type Code string

// The codes. Everything else is internal and never shown.
const (
	CodeInvalid     Code = "invalid"     // the input is wrong; Details names the fields
	CodeUnknown     Code = "unknown"     // no such task, batch or delivery
	CodeState       Code = "state"       // the task exists in a state that forbids it
	CodeStale       Code = "stale"       // the attempt is over
	CodeAhead       Code = "ahead"       // the attempt has not begun
	CodeOverflow    Code = "overflow"    // a counter would overflow
	CodeTooMany     Code = "too_many"    // more than 100,000 tasks
	CodeTooLarge    Code = "too_large"   // a batch with more tasks or links than the web page draws
	CodeKeyReused   Code = "key_reused"  // the Idempotency-Key belongs to another body
	CodeBusy        Code = "busy"        // somebody else holds what the call needs; nothing has happened
	CodeUnavailable Code = "unavailable" // the database cannot be reached, or no connection is free
)

// Error is an error that may be shown to a caller as it is.
type Error struct {
	Code    Code
	Message string
	Details []string // "<field path>: <message>" each
	Status  Status   // the task's present state, "" when it does not apply
	Err     error    // what is behind it; logged, never shown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

// Unwrap gives the error behind it.
func (e *Error) Unwrap() error { return e.Err }

// Fault is something that is wrong with a request and that the engine does not see itself: a value that cannot be stored,
// or the URL of a webhook that leads where webhooks may not go.
type Fault struct {
	Path    string `json:"path"` // "tasks[0].name"; "" for the request as a whole
	Message string `json:"message"`
	// Webhook says that the fault is one of a webhook's URL. Path is that of the action's params then, of which more may be
	// wrong.
	Webhook bool `json:"webhook,omitempty"`
}
