package taskview

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

var sample = []Row{
	{Name: "build", Status: task.Success, Done: 48, Total: 48, Took: 4 * time.Second},
	{Name: "unit-tests", Status: task.Running, Done: 105, Total: 420, Took: 1300 * time.Millisecond},
	{Name: "integration-tests", Status: task.Pending, Backoff: true, Total: 64, Note: "on_start refused, next try in 0.7 s"},
	{Name: "lint", Status: task.Failure, Done: 60, Failed: 3, Total: 60, Took: 3 * time.Second, Note: "3 findings"},
	{Name: "package", Status: task.Waiting, Total: 5, Note: "for integration-tests, unit-tests"},
	{Name: "no-progress", Status: task.Claimed},
}

func TestTableShowsEachRow(t *testing.T) {
	t.Parallel()
	lines := Table(sample, screen.Style{Width: 120})
	require.Equal(t, []string{
		"  ✓ build              Success      ████████████████    48/48    4.0 s",
		"  ● unit-tests         Running      ████░░░░░░░░░░░░  105/420    1.3 s",
		"  ○ integration-tests  Backing off  ░░░░░░░░░░░░░░░░     0/64           on_start refused, next try in 0.7 s",
		"  ✗ lint               Failure      ████████████████    60/60    3.0 s  3 findings",
		"  · package            Waiting      ░░░░░░░░░░░░░░░░      0/5           for integration-tests, unit-tests",
		"  ◔ no-progress        Claimed",
	}, lines)
}

func TestTableInASCII(t *testing.T) {
	t.Parallel()
	for _, line := range Table(sample, screen.Style{Width: 60, ASCII: true}) {
		for _, r := range line {
			require.Less(t, r, rune(utf8.RuneSelf), line)
		}
	}
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// A line never exceeds the width, whatever that is, and colours take no room.
func TestTableKeepsToTheWidth(t *testing.T) {
	t.Parallel()
	for width := 1; width <= 200; width++ {
		plain := Table(sample, screen.Style{Width: width})
		coloured := Table(sample, screen.Style{Width: width, Colour: true})
		require.Len(t, plain, len(sample))
		for i, line := range plain {
			require.LessOrEqual(t, screen.Width(line), width, line)
			require.Equal(t, line, strings.TrimRight(ansi.ReplaceAllString(coloured[i], ""), " "))
		}
	}
}

func TestTableColours(t *testing.T) {
	t.Parallel()
	lines := Table(sample, screen.Style{Width: 120, Colour: true})
	require.Contains(t, lines[0], "\x1b[32mSuccess    \x1b[0m")
	require.Contains(t, lines[3], "\x1b[31mFailure    \x1b[0m")
	for _, line := range Table(sample, screen.Style{Width: 120}) {
		require.NotContains(t, line, "\x1b")
	}
}

// In a low window the rows that say least give way, and it is said that they do.
func TestTableKeepsToTheHeight(t *testing.T) {
	t.Parallel()
	lines := Table(sample, screen.Style{Width: 80, Height: 4})
	require.Len(t, lines, 4)
	require.Contains(t, lines[0], "unit-tests")
	require.Contains(t, lines[1], "no-progress")
	require.Contains(t, lines[2], "integration-tests")
	require.Equal(t, "  and 3 more", lines[3])
	require.Len(t, Table(sample, screen.Style{Width: 80, Height: len(sample)}), len(sample))
}

// The lines around a table are there whatever the height, and it leaves out what does not fit; without a height nothing is.
func TestFrame(t *testing.T) {
	t.Parallel()
	for _, height := range []int{0, 5, 8, 16, 50} {
		lines := Frame("  head", "  foot", sample, screen.Style{Width: 120, Height: height})
		require.Equal(t, "  head", lines[0])
		require.Equal(t, "  foot", lines[len(lines)-1])
		cut := height > 0 && height < len(sample)+4
		require.Equal(t, cut, strings.Contains(strings.Join(lines, "\n"), "more"))
		if cut {
			require.Len(t, lines, height-2)
		} else {
			require.Len(t, lines, len(sample)+2)
		}
	}
}
