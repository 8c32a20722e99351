package taskview

import (
	"fmt"
	"strings"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// life is the order in which states are counted: what is over, then what is nearest to it.
var life = []task.Status{task.Success, task.Failure, task.Canceled, task.Running, task.Claimed, task.Paused, task.Pending, task.Waiting}

// count returns how many tasks have a state.
func count(c task.StatusCounts, status task.Status) int64 {
	switch status {
	case task.Success:
		return c.Success
	case task.Failure:
		return c.Failure
	case task.Canceled:
		return c.Canceled
	case task.Running:
		return c.Running
	case task.Claimed:
		return c.Claimed
	case task.Paused:
		return c.Paused
	case task.Pending:
		return c.Pending
	}
	return c.Waiting
}

// Counts lists the states that occur: 10 Success, 1 Running.
func Counts(c task.StatusCounts) string {
	var parts []string
	for _, status := range life {
		if n := count(c, status); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	return strings.Join(parts, ", ")
}

// ended returns how many tasks have ended, and how many there are.
func ended(c task.StatusCounts) (ended, total int64) {
	for _, status := range life {
		n := count(c, status)
		if total += n; status.Terminal() {
			ended += n
		}
	}
	return ended, total
}

// Share is how much of a batch has ended, in percent, rounded down.
func Share(c task.StatusCounts) int {
	n, total := ended(c)
	if total == 0 {
		return 100
	}
	return int(float64(n) / float64(total) * 100)
}

// progressWidth is that of the bar of a batch.
const progressWidth = 40

// Progress draws how much of a batch has ended, and how.
func Progress(c task.StatusCounts, s screen.Style) string {
	n, total := ended(c)
	text := fmt.Sprintf("%3d %%  %d of %d ended", Share(c), n, total)
	width := min(progressWidth, s.Width-len(text)-4)
	if width < barLeast {
		return s.Cut("  "+text, s.Width)
	}
	shares := make([]screen.Share, 0, len(life))
	for _, status := range life {
		if status.Terminal() {
			shares = append(shares, screen.Share{Part: count(c, status), Colour: colours[status]})
		}
	}
	return "  " + s.Bar(width, total, shares...) + "  " + text
}
