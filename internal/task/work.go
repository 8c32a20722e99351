package task

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Webhook is the params object of an action, with its true values.
type Webhook struct {
	URL     string            `json:"url"`
	Verb    string            `json:"verb"` // Get, Post, Delete, Put or Patch
	Body    json.RawMessage   `json:"body"` // compact JSON; nil or null: no body
	Headers map[string]string `json:"headers"`
}

// Claim is a task that a replica has claimed. ClaimedAt identifies the claim: a result is settled only while the
// same claim still holds the task.
type Claim struct {
	TaskID         uuid.UUID
	BatchID        *uuid.UUID
	Attempt        int32
	Priority       int32
	Seq            int64
	ClaimedAt      time.Time
	IdempotencyKey string
	HasRules       bool
	Host           string   // of its webhook, as the database writes it
	ByHost         bool     // found by its host: it says nothing about how far the queue is consumed
	Webhook        *Webhook // nil: nothing to call, the task is Running already
	Traceparent    string   // of the trace that it belongs to, as it was given; "" without one
}

// Rooms are how many calls a claim may get for each webhook host.
type Rooms struct {
	Hosts []string
	Rooms []int32 // of each of Hosts; -1: none, and that may last
	Other *int32  // of each other host; nil: all
	// Look says that if some have no room, the calls of others are looked up by host, however many calls of the former stand before
	// them; After is the host behind which hosts that are not named here are gone through, nil: they are not.
	Look  bool
	After *string
}

// Left is what a claim says about what it left.
type Left struct {
	Again  bool   // others were parked or put off, so that there may be more to claim
	Held   bool   // some were left out: their host has no room, or somebody has locked them
	Passed string // the host behind which the next look goes on; "": it begins anew
}

// Gauge is a value of a metric that is read from the database, with the values of its labels.
type Gauge struct {
	Metric        string
	First, Second string
	Value         float64
}

// HeldHost is a webhook host to which a replica makes no further call now. OpensAt: its circuit is open until then; nil: it is
// at its share of the slots.
type HeldHost struct {
	Host    string     `json:"host"`
	OpensAt *time.Time `json:"opens_at"`
	Error   string     `json:"error"` // of its last call; "" when that worked
}

// Mark says how far a replica has consumed the queue of one priority.
type Mark struct {
	Priority int32
	Seq      int64
}

// Try is one HTTP call of a webhook and how it ended.
type Try struct {
	At         time.Time     // when it began
	Latency    time.Duration // until the answer was read, or the call failed
	StatusCode *int32        // nil when there was no answer
	Error      string        // short cause (contract, section 8.5); "" on success
	Response   string        // the first 2 KiB of the answer, valid UTF-8 without U+0000
	RetryAfter time.Duration // what the answer asked for; 0 when it did not
}

// StartTry is a try of on_start. Permanent means that no further try can help.
type StartTry struct {
	Claim     Claim
	Permanent bool
	// CancelAction is the action that the answer of a delivered on_start consists of; nil when it is something else.
	CancelAction json.RawMessage
	Try
}

// RefusedAction is a cancel action of an on_start answer that is invalid.
type RefusedAction struct {
	TaskID uuid.UUID
	Fault  string
}

// Delivery is an End or Cancel webhook leased to a replica for one try. LeasedUntil identifies the lease: a failure is settled only
// while nobody has a newer one.
type Delivery struct {
	ID             uuid.UUID
	TaskID         uuid.UUID
	BatchID        *uuid.UUID
	Trigger        string // End or Cancel
	TaskAttempt    int32
	Number         int32 // of the try, from 1
	NextTryAt      time.Time
	IdempotencyKey string
	Webhook        Webhook
	Host           string // as the database writes it
	ByHost         bool   // found by its host: it says nothing about how far the queue is consumed
	LeasedUntil    time.Time
	Traceparent    string // of the trace that it belongs to, as it was given; "" without one
}

// DeliveryOutcome says what a try means for its delivery.
type DeliveryOutcome string

// The outcomes of a try: done, to be tried again within the limits, or never to be tried again.
const (
	DeliveryDelivered DeliveryOutcome = "delivered"
	DeliveryFailed    DeliveryOutcome = "failed"
	DeliveryGivenUp   DeliveryOutcome = "given_up"
)

// DeliveryTry is a try of an End or Cancel delivery.
type DeliveryTry struct {
	Delivery Delivery
	Outcome  DeliveryOutcome
	Try
}

// Backoff is the schedule of End and Cancel tries (contract, section 8.5).
type Backoff struct {
	Base   time.Duration
	Factor float64
	Max    time.Duration
}

// Report is what a remote side says about its task (PATCH; contract, section 4.4). Nil fields are absent.
type Report struct {
	TaskID        uuid.UUID       `json:"task_id"`
	Attempt       *int32          `json:"attempt,omitempty"` // fences the report when given
	Status        *Status         `json:"status,omitempty"`  // Success or Failure
	FailureReason *string         `json:"failure_reason,omitempty"`
	NewSuccess    *int64          `json:"new_success,omitempty"`
	NewFailures   *int64          `json:"new_failures,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	ExpectedCount *int64          `json:"expected_count,omitempty"`
	Priority      *int32          `json:"priority,omitempty"`
}

// Progress adds to the counters of a task (PUT; contract, section 4.5).
type Progress struct {
	TaskID      uuid.UUID `json:"task_id"`
	Attempt     *int32    `json:"attempt,omitempty"`
	NewSuccess  int64     `json:"new_success"`
	NewFailures int64     `json:"new_failures"`
}

// IdempotencyKey makes a POST /task happen once (contract, section 4.1). Keys of one token name say nothing to another.
type IdempotencyKey struct {
	TokenName string // "" without a bearer token
	Key       string
	BodyHash  [sha256.Size]byte // of the bytes as they came
	Life      time.Duration     // a key older than this is free again
}

// Submitted is what a POST /task with an Idempotency-Key stands for.
type Submitted struct {
	BatchID  uuid.UUID
	Tasks    []Task // in request order, as they are now
	Nothing  bool   // there was nothing to create, and there is no batch
	Replayed bool   // an earlier request created it
}

// Stopped is the answer of a batch stop (contract, section 4.9).
type Stopped struct {
	BatchID         uuid.UUID `json:"batch_id"`
	CanceledWaiting int64     `json:"canceled_waiting"`
	CanceledPending int64     `json:"canceled_pending"`
	CanceledClaimed int64     `json:"canceled_claimed"`
	CanceledRunning int64     `json:"canceled_running"`
	CanceledPaused  int64     `json:"canceled_paused"`
	AlreadyTerminal int64     `json:"already_terminal"`
}

// Sleep is what the database knows of a loop that has nothing to do.
type Sleep struct {
	Stood   bool   // who comes is told that it sleeps; else from now on
	Horizon string // to be said at the next call; "" unless the stamp stood
	Quiet   bool   // all who were not told have ended
}

// Pulse is what a replica writes once a second: that it lives, and whether its chores sleep.
type Pulse struct {
	Replica       uuid.UUID
	Name, Version string
	FreeSlots     int
	IdleChores    bool
	HeldHosts     []HeldHost // of the start loop
}

// Woken is what a look at limits that may have room came to.
type Woken struct {
	Limits int  // that were looked at
	Tasks  int  // that became ready
	Idle   bool // there was nothing to look at, and the replica is notified of the next
}

// Pruned is what retention removed, or would remove.
type Pruned struct {
	Batches, Tasks, Deliveries int64
	Attempts                   int64 // tries of these deliveries
}

// Add adds what another chunk removed.
func (p *Pruned) Add(other Pruned) {
	p.Batches += other.Batches
	p.Tasks += other.Tasks
	p.Deliveries += other.Deliveries
	p.Attempts += other.Attempts
}

// Agenda is what the database answers to a pulse: what there is to do.
type Agenda struct {
	DueChores  []string
	NextDueAt  *time.Time // when the next chore falls due; nil when nothing is scheduled
	Ready      bool       // tasks are ready to be claimed
	Deliveries bool       // deliveries are due
}
