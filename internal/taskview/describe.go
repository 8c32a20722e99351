package taskview

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Widths of columns.
const (
	idWidth     = 36
	statusWidth = len(task.Canceled)
	momentWidth = len(momentLayout)
)

// state is a cell with a task's state.
func state(status task.Status) screen.Cell {
	return screen.Cell{Text: screen.Pad(screen.Clean(string(status)), statusWidth), Colour: colours[status]}
}

// Line says in one line what state a task is in, and why. names are those of other tasks, where they are known.
func Line(t task.Task, names map[uuid.UUID]string, s screen.Style) string {
	cells := []screen.Cell{{Text: t.ID.String()}, state(t.Status), {Text: screen.Clean(t.Name)}}
	if t.FailureReason != nil && *t.FailureReason != string(t.Status) {
		cells = append(cells, screen.Cell{Text: named(screen.Clean(*t.FailureReason), names), Colour: screen.Dim})
	}
	return s.Line(cells...)
}

// fields is a description in lines of a name and a value each.
type fields struct {
	style screen.Style
	lines []string
}

// add appends a line, unless there is nothing to say.
func (f *fields) add(name, value string) { f.addIn("", name, value) }

// addIn appends a line with the value in a colour.
func (f *fields) addIn(colour, name, value string) {
	if value != "" {
		f.lines = append(f.lines, f.style.Line(
			screen.Cell{Text: "  " + screen.Pad(name, len("dead-end barrier"))}, screen.Cell{Text: value, Colour: colour}))
	}
}

// head appends the first line.
func (f *fields) head(kind string, id uuid.UUID, name string) {
	f.lines = append(f.lines, f.style.Line(
		screen.Cell{Text: kind, Colour: screen.Bold}, screen.Cell{Text: id.String()}, screen.Cell{Text: screen.Clean(name), Colour: screen.Bold}))
}

// Task describes a task, and what holds it.
func Task(t task.Task, holds []Hold, now time.Time, s screen.Style) []string {
	f := fields{style: s}
	f.head("task", t.ID, t.Name)
	f.addIn(colours[t.Status], "status", mark(t.Status, s)+" "+screen.Clean(string(t.Status)))
	f.add("reason", cleanOr(t.FailureReason))
	f.add("kind", screen.Clean(t.Kind))
	if t.BatchID != nil {
		f.add("batch", strings.TrimRight(t.BatchID.String()+"  "+cleanOr(t.BatchName), " "))
	}
	if t.WaitFinished > 0 {
		f.add("waits for", fmt.Sprintf("%s to end, %d of them in Success", plural(int64(t.WaitFinished), "task"), t.WaitSuccess))
	}
	for _, h := range holds {
		f.add("held by", h.String())
	}
	f.add("progress", progress(t.Success, t.Failures, t.ExpectedCount))
	f.add("created", moment(&t.CreatedAt))
	f.add("not before", moment(t.RunAt))
	f.add("started", moment(t.StartedAt))
	f.add("ended", moment(t.EndedAt))
	f.add("took", Seconds(took(t.StartedAt, t.EndedAt, now)))
	if t.StartedAt != nil && !t.Status.Terminal() {
		f.add("last sign", moment(&t.LastUpdated))
	}
	f.add("timeout", fmt.Sprintf("%d s without a sign of life", t.Timeout))
	if t.MaxAttempts > 1 {
		f.add("attempt", fmt.Sprintf("%d of %d", t.Attempt, t.MaxAttempts))
	}
	if t.Priority != 0 {
		f.add("priority", fmt.Sprint(t.Priority))
	}
	if t.DeadEndBarrier {
		f.add("dead-end barrier", "yes")
	}
	f.add("rules", value(t.Rules, "[]"))
	f.add("metadata", value(t.Metadata, "null"))
	for _, a := range t.Actions {
		f.add("on "+strings.ToLower(screen.Clean(a.Trigger)), webhook(a))
	}
	return f.lines
}

// Batch describes a batch, without its tasks.
func Batch(b task.Batch, s screen.Style) []string {
	f := fields{style: s}
	name := ""
	if b.BatchName != nil {
		name = *b.BatchName
	}
	f.head("batch", b.BatchID, name)
	f.lines = append(f.lines, Progress(b.StatusCounts, s))
	f.add("tasks", strings.TrimSuffix(plural(b.TotalTasks, "task")+": "+Counts(b.StatusCounts), ": "))
	f.add("progress", progress(b.TotalSuccess, b.TotalFailures, b.TotalExpected))
	f.add("created", moment(&b.CreatedAt))
	if b.DeadEndCancel != nil {
		f.add("dead-end cancel", map[bool]string{true: "yes", false: "no"}[*b.DeadEndCancel])
	}
	f.add("metadata", value(b.BatchMetadata, "null"))
	return f.lines
}

// cleanOr is a text made harmless, empty for none.
func cleanOr(text *string) string {
	if text == nil {
		return ""
	}
	return screen.Clean(*text)
}

// plural counts things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// progress is a counter in words, empty if there is nothing to say.
func progress(success, failures int64, expected *int64) string {
	if success == 0 && failures == 0 && expected == nil {
		return ""
	}
	text := fmt.Sprintf("%d succeeded, %d failed", success, failures)
	if expected != nil {
		text += fmt.Sprintf(", %d expected", *expected)
	}
	return text
}

const momentLayout = "2006-01-02 15:04:05 -07:00"

// moment is a time as people read it, in their zone; empty for none.
func moment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(momentLayout)
}

// took is how long something has run, or ran.
func took(started, ended *time.Time, now time.Time) time.Duration {
	switch {
	case started == nil:
		return 0
	case ended != nil:
		now = *ended
	}
	return max(0, now.Sub(*started))
}

// value is JSON as it came, empty for what says nothing.
func value(raw json.RawMessage, nothing string) string {
	if text := string(raw); text != nothing {
		return screen.Clean(text)
	}
	return ""
}

// webhook is a line about an action.
func webhook(a task.Action) string {
	var p struct{ Verb, URL string }
	if json.Unmarshal(a.Params, &p) != nil || p.URL == "" {
		return value(a.Params, "")
	}
	return screen.Clean(strings.ToUpper(p.Verb) + " " + p.URL)
}
