package taskview

import (
	"fmt"
	"strings"
	"time"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// column is one of a list; cells are filled up to its width.
type column struct {
	name  string
	width int
	right bool // numbers
}

// cells makes a row of texts.
func cells(columns []column, texts ...string) []screen.Cell {
	row := make([]screen.Cell, len(columns))
	for i, c := range columns {
		row[i].Text = screen.Pad(texts[i], c.width)
		if c.right {
			row[i].Text = screen.PadLeft(texts[i], c.width)
		}
	}
	return row
}

// heading is the row of the columns' names.
func heading(columns []column, s screen.Style) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	row := cells(columns, names...)
	for i := range row {
		row[i].Colour = screen.Dim
	}
	return s.Line(row...)
}

var taskColumns = []column{
	{"TASK", idWidth, false}, {"STATUS", statusWidth, false}, {"TOOK", tookWidth, true}, {"PROGRESS", len("PROGRESS"), true},
	{"NAME", nameWidth, false}, {"KIND", kindWidth, false}, {"CREATED", 0, false},
}

// Names and kinds may be longer; then what follows moves on.
const (
	nameWidth = 20
	kindWidth = 10
)

// TasksHeading is the line above those of Tasks.
func TasksHeading(s screen.Style) string { return heading(taskColumns, s) }

// Tasks lists tasks, a line each.
func Tasks(list []task.Basic, now time.Time, s screen.Style) []string {
	lines := make([]string, 0, len(list))
	for _, t := range list {
		row := cells(taskColumns, t.ID.String(), screen.Clean(string(t.Status)), Seconds(took(t.StartedAt, t.EndedAt, now)), counter(t),
			screen.Clean(t.Name), screen.Clean(t.Kind), moment(&t.CreatedAt))
		row[1].Colour = colours[t.Status]
		lines = append(lines, s.Line(row...))
	}
	return lines
}

// counter is the progress of a task in short.
func counter(t task.Basic) string {
	switch {
	case t.ExpectedCount != nil:
		return fmt.Sprintf("%d/%d", t.Success+t.Failures, *t.ExpectedCount)
	case t.Success+t.Failures > 0:
		return fmt.Sprint(t.Success + t.Failures)
	}
	return ""
}

var batchColumns = []column{
	{"BATCH", idWidth, false}, {"ENDED", len("100 %"), true}, {"TASKS", len("100000"), true},
	{"NAME", nameWidth, false}, {"CREATED", momentWidth, false}, {"STATES", 0, false},
}

// BatchesHeading is the line above those of Batches.
func BatchesHeading(s screen.Style) string { return heading(batchColumns, s) }

// Batches lists batches, a line each.
func Batches(list []task.ListedBatch, s screen.Style) []string {
	lines := make([]string, 0, len(list))
	for _, b := range list {
		states := Counts(b.StatusCounts)
		if len(b.Kinds) > 0 {
			states += "; " + screen.Clean(strings.Join(b.Kinds, ", "))
		}
		lines = append(lines, s.Line(cells(batchColumns, b.BatchID.String(), fmt.Sprintf("%d %%", Share(b.StatusCounts)),
			fmt.Sprint(b.TotalTasks), cleanOr(b.BatchName), moment(&b.FirstCreatedAt), states)...))
	}
	return lines
}
