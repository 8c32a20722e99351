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
	From, To Status // equal for a retry of a task that is and stays paused
	Kind     string
	Count    int64
	Cause    string // why, as in sql/README.md
	Retried  bool   // another attempt begins
	// Seconds are those from creation to a claim, and from start to end, of tasks that had been started.
	Seconds []float64
}

// Causes of a Transition that the metrics tell apart.
const (
	CauseUser        = "" // DELETE, pause and resume of a task
	CauseStop        = "stop"
	CauseReport      = "report"
	CauseTimeout     = "timeout"
	CauseStartFailed = "start_failed"
	CauseDeadEnd     = "dead_end"
	CausePropagate   = "propagate"
)

// Counts are what a transaction has done to tasks.
type Counts struct {
	Transitions []Transition
	Linked      int64 // created with dependencies
	Blocked     int64 // kept by a rule from being claimed
	Delivered   int64 // started without a call, since on_start had been delivered
}
