package task

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Page is the part of a list that is wanted. Lists begin with the newest row.
type Page struct {
	Size  int       // most rows; > 0
	Skip  int64     // rows before the page; 0 with After
	After *Position // the row that comes before the page; nil: none
}

// Position is the place of a row in a list: lists are ordered by created_at, then by Seq or ID, whichever their rows
// have.
type Position struct {
	CreatedAt time.Time
	Seq       int64     // of tasks and batches
	ID        uuid.UUID // of deliveries
}

// Filter says which tasks GET /task lists: those that pass all that is set (contract, section 4.2).
type Filter struct {
	Status   *Status
	BatchID  *uuid.UUID
	Name     string          // part of the name; "": any
	Kind     string          // part of the kind; "": any
	Timeout  *int32          // seconds
	Metadata json.RawMessage // what the metadata contains; nil: anything
}

// BatchFilter says which batches GET /batches lists: those with a task that passes all that is set (contract, section
// 4.11).
type BatchFilter struct {
	Status        *Status
	Name          string     // part of the task's name; "": any
	Kind          string     // part of its kind; "": any
	CreatedAfter  *time.Time // the moment itself counts
	CreatedBefore *time.Time // here too
}

// ListedBatch is what GET /batches shows of a batch. All but Kinds is about all its tasks.
type ListedBatch struct {
	BatchID         uuid.UUID    `json:"batch_id"`
	BatchName       *string      `json:"batch_name"`
	TotalTasks      int64        `json:"total_tasks"`
	FirstCreatedAt  time.Time    `json:"first_created_at"`
	LatestUpdatedAt time.Time    `json:"latest_updated_at"`
	StatusCounts    StatusCounts `json:"status_counts"`
	Kinds           []string     `json:"kinds"` // of the tasks that pass the filter
}
