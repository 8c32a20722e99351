package task

import (
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
