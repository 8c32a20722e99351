package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// row is a task as it is displayed.
type row struct {
	name    string
	status  task.Status
	backoff bool // Pending until the next try of on_start
	done    int64
	failed  int64
	total   int64 // 0: reports no progress
	took    time.Duration
	note    string
}

// state is the word for the row's state.
func (r row) state() string {
	if r.backoff {
		return "Backing off"
	}
	return string(r.status)
}

// rows turns a graph into rows, in the order of insertion. details holds the tasks that were looked at in full, because
// a list does not say when a task is tried again or why it failed.
func rows(g task.Graph, details map[uuid.UUID]task.Task, now time.Time) []row {
	names := make(map[uuid.UUID]string, len(g.Tasks))
	ended := make(map[uuid.UUID]bool, len(g.Tasks))
	for _, t := range g.Tasks {
		names[t.ID], ended[t.ID] = t.Name, t.Status.Terminal()
	}
	waits := map[uuid.UUID][]string{}
	for _, l := range g.Links {
		if !ended[l.ParentID] {
			waits[l.ChildID] = append(waits[l.ChildID], names[l.ParentID])
		}
	}
	list := make([]row, 0, len(g.Tasks))
	for _, t := range g.Tasks {
		r := row{name: t.Name, status: t.Status, done: t.Success + t.Failures, failed: t.Failures}
		if t.ExpectedCount != nil {
			r.total = *t.ExpectedCount
		}
		if t.StartedAt != nil {
			end := now
			if t.EndedAt != nil {
				end = *t.EndedAt
			}
			r.took = max(0, end.Sub(*t.StartedAt))
		}
		full, seen := details[t.ID]
		seen = seen && full.Status == t.Status
		switch {
		case t.Status == task.Waiting:
			slices.Sort(waits[t.ID])
			r.note = "for " + strings.Join(waits[t.ID], ", ")
		case t.Status == task.Pending && seen && full.RunAt != nil && full.RunAt.After(now):
			r.backoff = true
			r.note = fmt.Sprintf("on_start refused, next try in %.1f s", full.RunAt.Sub(now).Seconds())
		case t.Status.Terminal() && seen && full.FailureReason != nil && *full.FailureReason != string(t.Status):
			r.note = named(*full.FailureReason, names)
		}
		list = append(list, r)
	}
	return list
}

// named replaces the ids of tasks in a reason by their names.
func named(reason string, names map[uuid.UUID]string) string {
	for id, name := range names {
		reason = strings.ReplaceAll(reason, id.String(), name)
	}
	return reason
}

// tally counts rows by state, in the order of a task's life.
func tally(list []row) string {
	counts := map[task.Status]int{}
	for _, r := range list {
		counts[r.status]++
	}
	order := []task.Status{task.Success, task.Failure, task.Canceled, task.Running, task.Claimed, task.Paused, task.Pending, task.Waiting}
	var parts []string
	for _, s := range order {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// byUse sorts rows so that those one wants to see come first: what moves, what failed, what waits, what is done.
func byUse(list []row) []row {
	use := func(r row) int {
		switch r.status {
		case task.Running, task.Claimed:
			return 0
		case task.Pending, task.Paused:
			return 1
		case task.Failure, task.Canceled:
			return 2
		case task.Waiting:
			return 3
		}
		return 4
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b row) int { return cmp.Compare(use(a), use(b)) })
	return sorted
}
