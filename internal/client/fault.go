package client

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// What decodes need not be an answer: of another program's JSON object nothing may be ours. The functions of this file
// say what an answer lacks, by members that none comes without.

// errNoArray is the fault of null in place of an array.
var errNoArray = errors.New("holds no array")

// idFault finds an answer about something else than what was asked for.
func idFault(got, want uuid.UUID) error {
	if got != want {
		return fmt.Errorf("is not about %s", want)
	}
	return nil
}

// taskFault finds what is wrong with a task.
func taskFault(t task.Task, id uuid.UUID) error {
	if !t.Status.Valid() || t.Name == "" || t.CreatedAt.IsZero() {
		return errors.New("holds no whole task")
	}
	return idFault(t.ID, id)
}

// basicFault finds what is wrong with a task of a list.
func basicFault(t task.Basic) error {
	if t.ID == uuid.Nil || !t.Status.Valid() || t.Name == "" || t.CreatedAt.IsZero() {
		return errors.New("holds no whole task")
	}
	return nil
}

// rowsFault finds what is wrong with an array of tasks.
func rowsFault(tasks []task.Basic) error {
	if tasks == nil {
		return errNoArray
	}
	for _, t := range tasks {
		if err := basicFault(t); err != nil {
			return err
		}
	}
	return nil
}

// graphFault finds what is wrong with a graph.
func graphFault(g task.Graph) error {
	if g.Links == nil || g.ExternalLinks == nil {
		return errNoArray
	}
	return rowsFault(g.Tasks)
}

// batchFault finds what is wrong with a batch. Without its counts it would look as if it had ended.
func batchFault(b task.Batch, id uuid.UUID) error {
	if b.CreatedAt.IsZero() || b.TotalTasks != total(b.StatusCounts) {
		return errors.New("holds no whole batch")
	}
	return idFault(b.BatchID, id)
}

// listedFault finds what is wrong with a batch of a list.
func listedFault(b task.ListedBatch) error {
	if b.BatchID == uuid.Nil || b.FirstCreatedAt.IsZero() || b.TotalTasks == 0 || b.TotalTasks != total(b.StatusCounts) {
		return errors.New("holds no whole batch")
	}
	return nil
}

// total is the number of tasks in any state.
func total(c task.StatusCounts) int64 {
	return c.Waiting + c.Pending + c.Claimed + c.Running + c.Success + c.Failure + c.Paused + c.Canceled
}
