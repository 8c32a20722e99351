package task

import (
	"encoding/json"
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

// Neighbour is a task at the other end of a link.
type Neighbour struct {
	ID              uuid.UUID  `json:"id"`
	Name            string     `json:"name"`
	Kind            string     `json:"kind"`
	Status          Status     `json:"status"`
	BatchID         *uuid.UUID `json:"batch_id"`
	RequiresSuccess bool       `json:"requires_success"` // of the parent, for the child
}

// Reason is something that keeps a task from running: a sentence, and the same for programs.
type Reason struct {
	Sentence string          `json:"reason"`
	Detail   json.RawMessage `json:"detail"`
}

// Surroundings are what the page shows about a task beside the task.
type Surroundings struct {
	Why          []Reason    `json:"why"`
	Parents      []Neighbour `json:"parents"`  // at most 200
	Children     []Neighbour `json:"children"` // at most 200
	MoreParents  bool        `json:"more_parents"`
	MoreChildren bool        `json:"more_children"`
}

// Overview is what goes on in the whole database.
type Overview struct {
	Tasks            map[Status]int64 `json:"tasks"` // those that have not ended
	RunningByKind    []KindCount      `json:"running_by_kind"`
	OldestPendingAge float64          `json:"oldest_pending_age_seconds"` // of those that could start now
	Deliveries       OwedDeliveries   `json:"deliveries"`
	Replicas         []LiveReplica    `json:"replicas"`
	EndedPerMinute   []MinuteCount    `json:"ended_per_minute"` // the last minutes, the present one included; the oldest first
	Parked           []ParkedCount    `json:"parked"`           // what holds most first
}

// KindCount is how many tasks of a kind there are.
type KindCount struct {
	Kind  *string `json:"kind"` // nil: all others
	Count int64   `json:"count"`
}

// OwedDeliveries are the webhooks that are to be sent, are being sent, or were given up.
type OwedDeliveries struct {
	Pending      int64   `json:"pending"`
	Sending      int64   `json:"sending"`
	Failed       int64   `json:"failed"`
	OldestDueAge float64 `json:"oldest_due_age_seconds"` // 0 if none is due
}

// LiveReplica is a process that has been heard of.
type LiveReplica struct {
	ID           uuid.UUID `json:"id"`
	Name         string    `json:"name"`
	Version      string    `json:"version"`
	HeartbeatAge float64   `json:"heartbeat_age_seconds"`
}

// MinuteCount is how many tasks ended in a minute.
type MinuteCount struct {
	Minute time.Time `json:"minute"`
	Count  int64     `json:"count"`
}

// ParkedCount is how many Pending tasks something holds.
type ParkedCount struct {
	Limit string          `json:"limit"` // for people
	Rule  json.RawMessage `json:"rule"`  // null if it is none
	Count int64           `json:"count"`
}
