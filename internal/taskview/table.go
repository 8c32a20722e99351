package taskview

import (
	"fmt"
	"strings"
	"time"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// marks are the signs of the states, and what stands for them where there is ASCII only.
var marks = map[task.Status][2]string{
	task.Waiting: {"·", " "}, task.Pending: {"○", "o"}, task.Claimed: {"◔", "o"}, task.Running: {"●", "*"},
	task.Success: {"✓", "+"}, task.Failure: {"✗", "x"}, task.Canceled: {"⊘", "-"}, task.Paused: {"‖", "="},
}

// colours are those of the states.
var colours = map[task.Status]string{
	task.Waiting: screen.Dim, task.Pending: screen.Yellow, task.Claimed: screen.Blue, task.Running: screen.Blue,
	task.Success: screen.Green, task.Failure: screen.Red, task.Canceled: screen.Yellow, task.Paused: screen.Yellow,
}

// mark is the sign of a state.
func mark(status task.Status, s screen.Style) string {
	m, ok := marks[status]
	switch {
	case !ok:
		return "?"
	case s.ASCII:
		return m[1]
	}
	return m[0]
}

// The widths of the table's columns, blanks between them not counted.
const (
	stateWidth  = len("Backing off")
	countWidth  = len("600/600")
	tookWidth   = len("100.0 s")
	barMost     = 24
	barLeast    = 8
	leastColumn = 20 // below this the table makes no sense; lines are cut
)

// Table draws the rows as lines, within the width of the style and, with a height, not more than that many: then the
// rows that say least are left out.
func Table(list []Row, s screen.Style) []string {
	if s.Height > 0 && len(list) > s.Height {
		shown := byUse(list)[:max(0, s.Height-1)]
		all := s
		all.Height = 0
		lines := Table(shown, all)
		return append(lines, s.Paint(s.Cut(fmt.Sprintf("  and %d more", len(list)-len(shown)), s.Width), screen.Dim))
	}
	names := 0
	for _, r := range list {
		names = max(names, screen.Width(r.Name))
	}
	names = min(names, max(leastColumn, s.Width/3))
	// mark name state bar count took note, two blanks apart but for the mark
	fixed := 2 + 2 + names + 2 + stateWidth + 2 + countWidth + 2 + tookWidth
	room := s.Width - fixed - 2
	bar := min(max(0, room), max(barLeast, min(barMost, room/4))) // the rest is for the note
	lines := make([]string, 0, len(list))
	for _, r := range list {
		lines = append(lines, line(r, names, bar, s))
	}
	return lines
}

// line draws one row.
func line(r Row, names, bar int, s screen.Style) string {
	colour := colours[r.Status]
	cells := []screen.Cell{
		{Text: "  " + mark(r.Status, s) + " " + screen.Pad(s.Cut(r.Name, names), names)},
		{Text: screen.Pad(r.State(), stateWidth), Colour: colour},
	}
	if bar > 0 {
		plain := screen.Style{ASCII: s.ASCII}
		cells = append(cells, screen.Cell{Text: plain.Bar(bar, r.Total, screen.Share{Part: r.Done}), Colour: colour})
	}
	cells = append(cells, screen.Cell{Text: screen.PadLeft(r.count(), countWidth)}, screen.Cell{Text: screen.PadLeft(Seconds(r.Took), tookWidth)})
	if r.Note != "" {
		cells = append(cells, screen.Cell{Text: r.Note, Colour: screen.Dim})
	}
	return s.Line(cells...)
}

// count is the progress in numbers.
func (r Row) count() string {
	if r.Total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", r.Done, r.Total)
}

// Seconds writes a duration, empty for a task that was not started.
func Seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Frame is a table between a line above and one below; without a limit of the height these two are not cut either.
func Frame(head, foot string, list []Row, s screen.Style) []string {
	const around = 4 // the other lines, the one where the cursor stands, and one to spare
	if s.Height > 0 {
		s.Height = max(1, s.Height-around)
		head, foot = s.Cut(head, s.Width), s.Cut(foot, s.Width)
	}
	lines := []string{s.Paint(head, screen.Bold)}
	lines = append(lines, Table(list, s)...)
	if foot != "" {
		lines = append(lines, s.Paint(strings.TrimRight(foot, " "), screen.Dim))
	}
	return lines
}
