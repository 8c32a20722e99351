package task

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
)

// ViewStatuses are the states by the numbers that the answers for the web page write instead of their names.
var ViewStatuses = []Status{Waiting, Pending, Claimed, Running, Failure, Success, Paused, Canceled}

// Null is what a number of a [ViewState] is that PostgreSQL has as null.
const Null = math.MinInt64

// ViewState is what changes of a task while people look at it. It is small and comparable: there may be 100,000 of them, and the
// present ones are compared with the ones before.
type ViewState struct {
	Success, Failures, Expected int64 // Expected may be Null
	StartedAt, EndedAt          int64 // milliseconds since 1970; Null: not yet
	Priority                    int32
	Status                      uint8 // index of ViewStatuses
}

// ViewRevision says which tasks and links a batch has: it changes when some come or go.
type ViewRevision struct {
	Tasks uint64 // hash of the numbers of the tasks in their order
	Links int64  // of which the parent is one of the tasks
}

// String writes it as clients see it.
func (r ViewRevision) String() string { return fmt.Sprintf("%x.%d", r.Tasks, r.Links) }

// ViewStates are the states of a batch's tasks in the order of their insertion, at a moment. The links of the revision were counted
// only if that was asked for.
type ViewStates struct {
	Revision ViewRevision
	Now      time.Time // of the database
	States   []ViewState
}

// ViewTask is what stays as it is.
type ViewTask struct {
	ID         uuid.UUID
	Name, Kind string
	CreatedAt  int64 // milliseconds since 1970
}

// ViewGraph is a batch as the page draws it: Tasks[i] is in the state States[i].
type ViewGraph struct {
	BatchID   uuid.UUID
	BatchName *string
	CreatedAt time.Time
	Tasks     []ViewTask
	ViewStates
	Links    [][2]int32 // parent and child, as indices of tasks
	Required []bool     // by link: does the child require its success?
	External []Link     // with one end in another batch, or in none; not all, if there are many
}
