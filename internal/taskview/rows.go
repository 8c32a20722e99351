package taskview

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Row is a task as it is displayed.
type Row struct {
	Name    string
	Status  task.Status
	Backoff bool // Pending until the next try of on_start
	Done    int64
	Failed  int64
	Total   int64 // 0: reports no progress
	Took    time.Duration
	Note    string
}

// State is the word for the row's state.
func (r Row) State() string {
	if r.Backoff {
		return "Backing off"
	}
	return screen.Clean(string(r.Status))
}

// Rows turns a graph into rows, in the order of insertion. details holds the tasks that were looked at in full, because
// a list does not say when a task is tried again or why it failed.
func Rows(g task.Graph, details map[uuid.UUID]task.Task, now time.Time) []Row {
	names := Names(g)
	ended := make(map[uuid.UUID]bool, len(g.Tasks))
	for _, t := range g.Tasks {
		ended[t.ID] = t.Status.Terminal()
	}
	waits := map[uuid.UUID][]string{}
	for _, l := range g.Links {
		if !ended[l.ParentID] {
			waits[l.ChildID] = append(waits[l.ChildID], names[l.ParentID])
		}
	}
	list := make([]Row, 0, len(g.Tasks))
	for _, t := range g.Tasks {
		r := Row{Name: screen.Clean(t.Name), Status: t.Status, Done: t.Success + t.Failures, Failed: t.Failures, Took: took(t.StartedAt, t.EndedAt, now)}
		if t.ExpectedCount != nil {
			r.Total = *t.ExpectedCount
		}
		full, seen := details[t.ID]
		seen = seen && full.Status == t.Status
		switch {
		case t.Status == task.Waiting:
			slices.Sort(waits[t.ID])
			r.Note = "for " + cmp.Or(strings.Join(waits[t.ID], ", "), "a task of another batch")
		case t.Status == task.Pending && seen && full.RunAt != nil && full.RunAt.After(now):
			r.Backoff = true
			r.Note = fmt.Sprintf("on_start refused, next try in %.1f s", full.RunAt.Sub(now).Seconds())
		case t.Status.Terminal() && seen && full.FailureReason != nil && *full.FailureReason != string(t.Status):
			r.Note = named(screen.Clean(*full.FailureReason), names)
		}
		list = append(list, r)
	}
	return list
}

// Names returns the names of a graph's tasks.
func Names(g task.Graph) map[uuid.UUID]string {
	names := make(map[uuid.UUID]string, len(g.Tasks))
	for _, t := range g.Tasks {
		names[t.ID] = screen.Clean(t.Name)
	}
	return names
}

var idPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// named replaces the ids of tasks in a reason by their names, where they are known.
func named(reason string, names map[uuid.UUID]string) string {
	return idPattern.ReplaceAllStringFunc(reason, func(text string) string {
		if id, err := uuid.Parse(text); err == nil && names[id] != "" {
			return names[id]
		}
		return text
	})
}

// Tally counts rows by state, in the order of a task's life.
func Tally(list []Row) string {
	counts := map[task.Status]int{}
	for _, r := range list {
		counts[r.Status]++
	}
	var parts []string
	for _, s := range life {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// WentWrong lists tasks that ended in Failure or Canceled, those first that did not because of others in the graph.
func WentWrong(g task.Graph) []task.Basic {
	bad := map[uuid.UUID]bool{}
	for _, t := range g.Tasks {
		bad[t.ID] = t.Status == task.Failure || t.Status == task.Canceled
	}
	with := map[uuid.UUID]bool{}
	for _, l := range g.Links {
		with[l.ChildID] = with[l.ChildID] || l.RequiresSuccess && bad[l.ParentID]
	}
	var first, rest []task.Basic
	for _, t := range g.Tasks {
		switch {
		case !bad[t.ID]:
		case with[t.ID]:
			rest = append(rest, t)
		default:
			first = append(first, t)
		}
	}
	return append(first, rest...)
}

// byUse sorts rows so that those one wants to see come first: what moves, what failed, what waits, what is done.
func byUse(list []Row) []Row {
	use := func(r Row) int {
		switch r.Status {
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
	slices.SortStableFunc(sorted, func(a, b Row) int { return cmp.Compare(use(a), use(b)) })
	return sorted
}
