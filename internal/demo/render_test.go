package demo

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

var sample = []row{
	{name: "build", status: task.Success, done: 48, total: 48, took: 4 * time.Second},
	{name: "unit-tests", status: task.Running, done: 105, total: 420, took: 1300 * time.Millisecond},
	{name: "integration-tests", status: task.Pending, backoff: true, total: 64, note: "on_start refused, next try in 0.7 s"},
	{name: "lint", status: task.Failure, done: 60, failed: 3, total: 60, took: 3 * time.Second, note: "3 findings"},
	{name: "package", status: task.Waiting, total: 5, note: "for integration-tests, unit-tests"},
	{name: "no-progress", status: task.Claimed},
}

func TestTableShowsEachRow(t *testing.T) {
	t.Parallel()
	lines := table(sample, style{width: 120})
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
	for _, line := range table(sample, style{width: 60, ascii: true}) {
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
		plain := table(sample, style{width: width})
		coloured := table(sample, style{width: width, colour: true})
		require.Len(t, plain, len(sample))
		for i, line := range plain {
			require.LessOrEqual(t, utf8.RuneCountInString(line), width, line)
			require.Equal(t, line, strings.TrimRight(ansi.ReplaceAllString(coloured[i], ""), " "))
		}
	}
}

func TestTableColours(t *testing.T) {
	t.Parallel()
	lines := table(sample, style{width: 120, colour: true})
	require.Contains(t, lines[0], "\x1b[32mSuccess    \x1b[0m")
	require.Contains(t, lines[3], "\x1b[31mFailure    \x1b[0m")
	for _, line := range table(sample, style{width: 120}) {
		require.NotContains(t, line, "\x1b")
	}
}

// In a low window the rows that say least give way, and it is said that they do.
func TestTableKeepsToTheHeight(t *testing.T) {
	t.Parallel()
	lines := table(sample, style{width: 80, height: 4})
	require.Len(t, lines, 4)
	require.Contains(t, lines[0], "unit-tests")
	require.Contains(t, lines[1], "no-progress")
	require.Contains(t, lines[2], "integration-tests")
	require.Equal(t, "  and 3 more", lines[3])
	require.Len(t, table(sample, style{width: 80, height: len(sample)}), len(sample))
}

func TestBar(t *testing.T) {
	t.Parallel()
	s := style{ascii: true}
	require.Equal(t, "..........", s.bar(row{done: 0, total: 3}, 10))
	require.Equal(t, "###.......", s.bar(row{done: 1, total: 3}, 10))
	require.Equal(t, "##########", s.bar(row{done: 3, total: 3}, 10))
	require.Equal(t, "##########", s.bar(row{done: 5, total: 3}, 10), "more than was expected")
	require.Equal(t, "          ", s.bar(row{done: 5}, 10), "nothing expected")
}
