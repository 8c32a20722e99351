package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/taskrunner/taskrunner/internal/task"
)

// style says how a frame is drawn.
type style struct {
	width  int  // columns of the terminal; a line is at most that long
	height int  // lines of the terminal; 0: no limit
	colour bool // ANSI colours
	ascii  bool // no characters beyond ASCII (a locale that is not UTF-8)
}

// Colours, as parameters of the ANSI sequence "select graphic rendition".
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
)

func (s style) paint(text, colour string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// look returns the mark and the colour of a state.
func (s style) look(r row) (mark, colour string) {
	marks := map[task.Status][2]string{
		task.Waiting: {"·", " "}, task.Pending: {"○", "o"}, task.Claimed: {"◔", "o"}, task.Running: {"●", "*"},
		task.Success: {"✓", "+"}, task.Failure: {"✗", "x"}, task.Canceled: {"⊘", "-"}, task.Paused: {"‖", "="},
	}
	colours := map[task.Status]string{
		task.Waiting: dim, task.Pending: yellow, task.Claimed: blue, task.Running: blue,
		task.Success: green, task.Failure: red, task.Canceled: yellow, task.Paused: yellow,
	}
	m := marks[r.status]
	if s.ascii {
		return m[1], colours[r.status]
	}
	return m[0], colours[r.status]
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

// table draws the rows as lines, within the width of the style and, with a height, not more than that many: then the
// rows that say least are left out.
func table(list []row, s style) []string {
	if s.height > 0 && len(list) > s.height {
		shown := byUse(list)[:max(0, s.height-1)]
		lines := table(shown, style{width: s.width, colour: s.colour, ascii: s.ascii})
		return append(lines, s.paint(cut(fmt.Sprintf("  and %d more", len(list)-len(shown)), s.width, s.ascii), dim))
	}
	nameWidth := 0
	for _, r := range list {
		nameWidth = max(nameWidth, utf8.RuneCountInString(r.name))
	}
	nameWidth = min(nameWidth, max(leastColumn, s.width/3))
	// mark name state bar count took note, two blanks apart but for the mark
	fixed := 2 + 2 + nameWidth + 2 + stateWidth + 2 + countWidth + 2 + tookWidth
	room := s.width - fixed - 2
	bar := min(max(0, room), max(barLeast, min(barMost, room/4))) // the rest is for the note
	lines := make([]string, 0, len(list))
	for _, r := range list {
		lines = append(lines, s.line(r, nameWidth, bar))
	}
	return lines
}

// line draws one row. Text is measured before it is coloured.
func (s style) line(r row, nameWidth, bar int) string {
	mark, colour := s.look(r)
	type cell struct{ text, colour string }
	cells := []cell{
		{"  " + mark + " " + pad(cut(r.name, nameWidth, s.ascii), nameWidth), ""},
		{pad(r.state(), stateWidth), colour},
	}
	if bar > 0 {
		cells = append(cells, cell{s.bar(r, bar), colour})
	}
	cells = append(cells, cell{padLeft(r.count(), countWidth), ""}, cell{padLeft(seconds(r.took), tookWidth), ""})
	if r.note != "" {
		cells = append(cells, cell{r.note, dim})
	}
	var b strings.Builder
	used := 0
	for i, c := range cells {
		gap := min(2, i*2)
		text := cut(c.text, s.width-used-gap, s.ascii)
		if text == "" {
			break
		}
		b.WriteString(strings.Repeat(" ", gap))
		if c.colour != "" {
			text, used = s.paint(text, c.colour), used+gap+utf8.RuneCountInString(text)
		} else {
			used += gap + utf8.RuneCountInString(text)
		}
		b.WriteString(text)
	}
	return strings.TrimRight(b.String(), " ")
}

// bar draws the progress of a row.
func (s style) bar(r row, width int) string {
	full, empty := "█", "░"
	if s.ascii {
		full, empty = "#", "."
	}
	if r.total <= 0 {
		return strings.Repeat(" ", width)
	}
	n := int(min(r.done, r.total) * int64(width) / r.total)
	return strings.Repeat(full, n) + strings.Repeat(empty, width-n)
}

// count is the progress in numbers.
func (r row) count() string {
	if r.total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", r.done, r.total)
}

// seconds writes a duration, empty for a task that was not started.
func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// cut shortens a text to a number of columns; an ellipsis says that something is missing.
func cut(text string, width int, ascii bool) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	dots := "…"
	if ascii {
		dots = "."
	}
	return string([]rune(text)[:width-1]) + dots
}

// pad fills a text up with blanks on the right.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// padLeft fills a text up with blanks on the left.
func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text))) + text
}
