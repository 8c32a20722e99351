package task

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Task is the full task object of the API (contract, section 1.4); its JSON form is the wire form.
type Task struct {
	ID             uuid.UUID       `json:"id"`
	Name           string          `json:"name"`
	Kind           string          `json:"kind"`
	Status         Status          `json:"status"`
	Timeout        int32           `json:"timeout"` // seconds of inactivity
	Rules          json.RawMessage `json:"rules"`
	Metadata       json.RawMessage `json:"metadata"`
	Actions        []Action        `json:"actions"`
	CreatedAt      time.Time       `json:"created_at"`
	LastUpdated    time.Time       `json:"last_updated"`
	StartedAt      *time.Time      `json:"started_at"`
	EndedAt        *time.Time      `json:"ended_at"`
	WaitFinished   int32           `json:"wait_finished"` // parents that have not ended
	WaitSuccess    int32           `json:"wait_success"`  // required ones among them
	Success        int64           `json:"success"`
	Failures       int64           `json:"failures"`
	ExpectedCount  *int64          `json:"expected_count"`
	FailureReason  *string         `json:"failure_reason"`
	BatchID        *uuid.UUID      `json:"batch_id"`
	BatchName      *string         `json:"batch_name"`
	DeadEndBarrier bool            `json:"dead_end_barrier"`
	Priority       int32           `json:"priority"`
	Attempt        int32           `json:"attempt"`
	MaxAttempts    int32           `json:"max_attempts"`
	RunAt          *time.Time      `json:"run_at"`
}

// Basic is the short task object of lists and graphs (contract, section 1.5).
type Basic struct {
	ID             uuid.UUID  `json:"id"`
	Name           string     `json:"name"`
	Kind           string     `json:"kind"`
	Status         Status     `json:"status"`
	CreatedAt      time.Time  `json:"created_at"`
	StartedAt      *time.Time `json:"started_at"`
	Success        int64      `json:"success"`
	Failures       int64      `json:"failures"`
	ExpectedCount  *int64     `json:"expected_count"`
	EndedAt        *time.Time `json:"ended_at"`
	BatchID        *uuid.UUID `json:"batch_id"`
	DeadEndBarrier bool       `json:"dead_end_barrier"`
	Priority       int32      `json:"priority"`
}

// Action is a webhook as it may be shown: values that look like secrets read ***.
type Action struct {
	Kind    string          `json:"kind"`
	Trigger string          `json:"trigger"` // Start, End or Cancel
	Params  json.RawMessage `json:"params"`
}

// Link is a dependency between two tasks.
type Link struct {
	ParentID        uuid.UUID `json:"parent_id"`
	ChildID         uuid.UUID `json:"child_id"`
	RequiresSuccess bool      `json:"requires_success"`
}

// Graph is a batch with its dependencies (contract, section 4.12).
type Graph struct {
	Tasks         []Basic `json:"tasks"`
	Links         []Link  `json:"links"`          // both ends in the batch
	ExternalLinks []Link  `json:"external_links"` // exactly one end in the batch
}

// StatusCounts counts the tasks of a batch by state.
type StatusCounts struct {
	Waiting  int64 `json:"waiting"`
	Pending  int64 `json:"pending"`
	Claimed  int64 `json:"claimed"`
	Running  int64 `json:"running"`
	Success  int64 `json:"success"`
	Failure  int64 `json:"failure"`
	Paused   int64 `json:"paused"`
	Canceled int64 `json:"canceled"`
}

// Batch is what GET /batch/{batch_id} shows (contract, section 4.8).
type Batch struct {
	BatchID       uuid.UUID       `json:"batch_id"`
	BatchName     *string         `json:"batch_name"`
	BatchMetadata json.RawMessage `json:"batch_metadata"`
	DeadEndCancel *bool           `json:"dead_end_cancel"`
	CreatedAt     time.Time       `json:"created_at"`
	TotalTasks    int64           `json:"total_tasks"`
	TotalSuccess  int64           `json:"total_success"`  // sum, capped at the largest int64
	TotalFailures int64           `json:"total_failures"` // sum, capped at the largest int64
	TotalExpected *int64          `json:"total_expected"` // nil as soon as one task has none
	StatusCounts  StatusCounts    `json:"status_counts"`
}
