package task

import (
	"time"

	"github.com/google/uuid"
)

// The states of a delivery.
const (
	DeliveryPending  = "Pending"
	DeliverySending  = "Sending"
	DeliveryDone     = "Delivered"
	DeliveryDead     = "Failed"
	DeliveryCanceled = "Canceled"
)

// DeliveryInfo is a delivery as the API shows it (contract, section 4.13).
type DeliveryInfo struct {
	ID             uuid.UUID  `json:"id"`
	TaskID         uuid.UUID  `json:"task_id"`
	BatchID        *uuid.UUID `json:"batch_id"`
	Trigger        string     `json:"trigger"`   // Start, End or Cancel
	Condition      *string    `json:"condition"` // Success or Failure, of End alone
	IdempotencyKey string     `json:"idempotency_key"`
	Verb           string     `json:"verb"`
	URL            string     `json:"url"` // what looks secret in it reads ***
	Status         string     `json:"status"`
	TaskAttempt    int32      `json:"task_attempt"`
	Tries          int32      `json:"tries"`
	MaxTries       int32      `json:"max_tries"`
	NextTryAt      *time.Time `json:"next_try_at"`
	CreatedAt      time.Time  `json:"created_at"`
	FinishedAt     *time.Time `json:"finished_at"`
	LastStatusCode *int32     `json:"last_status_code"`
	LastError      *string    `json:"last_error"`
}

// LoggedDelivery is a delivery with the log of its tries.
type LoggedDelivery struct {
	DeliveryInfo
	Attempts []DeliveryAttempt `json:"attempts"`
}

// DeliveryAttempt is a try as the log keeps it.
type DeliveryAttempt struct {
	At         time.Time `json:"at"`
	StatusCode *int32    `json:"status_code"`
	LatencyMS  int32     `json:"latency_ms"`
	Error      *string   `json:"error"`    // nil on success
	Response   *string   `json:"response"` // the first 2 KiB of the answer, nil without one
}

// DeliveryFilter says which deliveries are wanted. Nil fields leave everything.
type DeliveryFilter struct {
	Status, Trigger *string
	TaskID, BatchID *uuid.UUID
	Host            *string    // of the URL, with its port or for all ports
	From, To        *time.Time // of created_at, inclusive
}
