package task

// Status is the state of a task, spelled as on the wire (contract, section 5.1).
type Status string

// The eight states. Success, Failure and Canceled are terminal.
const (
	Waiting  Status = "Waiting"
	Pending  Status = "Pending"
	Claimed  Status = "Claimed"
	Running  Status = "Running"
	Failure  Status = "Failure"
	Success  Status = "Success"
	Paused   Status = "Paused"
	Canceled Status = "Canceled"
)

// Statuses lists all states in the order in which answers count them.
var Statuses = []Status{Waiting, Pending, Claimed, Running, Success, Failure, Paused, Canceled}

// Terminal reports whether a task in this state has ended.
func (s Status) Terminal() bool { return s == Success || s == Failure || s == Canceled }

// Valid reports whether s is one of the eight states.
func (s Status) Valid() bool {
	switch s {
	case Waiting, Pending, Claimed, Running, Failure, Success, Paused, Canceled:
		return true
	}
	return false
}

// Transition is a number of equal status changes, as counted by the database for the metrics.
type Transition struct {
	From, To Status
	Kind     string
	Count    int64
}
