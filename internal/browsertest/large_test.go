package browsertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// JavaScript rounds numbers beyond 2^53; the page shows and exports them as they are.
func TestLargeNumbersAreExact(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	counting := hooks.task("counting", "k", "/hold")
	counting["expected_count"] = int64(9223372036854775807)
	made := s.submit("large numbers", counting)
	s.awaitStatus(made.tasks["counting"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "&tab=table&task="+made.tasks["counting"].ID.String())
	b.awaitDetails(made, "counting")
	s.exec("select taskrunner.add_progress($1, 9007199254740993, 0)", made.tasks["counting"].ID)
	const progress = "9,007,199,254,740,993 of 9,223,372,036,854,775,807"
	b.waitText("details", progress)
	b.waitText("task-row", progress)
	files := newDownloads(b)
	b.click("export")
	b.click("export-csv")
	row := readCSV(t, files.next())[1]
	require.Equal(t, "9007199254740993", row["success"])
	require.Equal(t, "9223372036854775807", row["expected_count"])
	b.click("tab-graph")
	b.awaitPainted(task.Running, true)
}

// A batch that is too large to be drawn is said to be, without a word about the connection, and can be stopped.
func TestTooLargeToDraw(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := &service{t: t, db: newDB(t), at: "127.0.0.1:0", mostDrawn: 100}
	s.start()
	made := s.submit("vast", hooks.task("first", "k", "/hold"))
	s.awaitStatus(made.tasks["first"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "")
	b.awaitPainted(task.Running, true)
	b.allow(`^request: GET .*/view/(graph|events|states).*: 409$`)
	s.exec(`insert into taskrunner.task (batch_id, name, kind, run_at)
		select $1, 'more', 'k', '2100-01-01' from generate_series(1, 100)`, made.id)
	b.waitText("error", "too many to draw")
	b.waitGone("connection")
	b.open(made.view())
	b.waitText("error", "too many to draw")
	require.False(t, b.shows("connection"))
	b.click("stop-batch")
	b.wait("document.querySelector('dialog[open]').innerText.includes('1 Running, 100 Pending')")
}
