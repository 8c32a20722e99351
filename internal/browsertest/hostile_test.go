package browsertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// hostile would run a script if anything took it for markup.
const hostile = `<img src=x onerror="window.owned=1">`

// Whatever people and programs call their things, it is text wherever it is shown.
func TestNamesAreText(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	entry := hooks.task(hostile, hostile, "/hold")
	entry["metadata"] = map[string]any{hostile: hostile, "</script><script>window.owned=1</script>": "' onmouseover=window.owned=1 '"}
	entry["on_failure"] = []any{map[string]any{"kind": "Webhook", "params": map[string]any{
		"url": hooks.url + "/gone?x=%3Cimg%20src=x%20onerror=window.owned=1%3E", "verb": "Post", "headers": map[string]any{"X-Note": hostile}, "body": hostile}}}
	child := hooks.task("child "+hostile, "k", "/hold", hostile)
	made := s.submit(hostile, entry, child)
	id := made.tasks[hostile].ID
	s.awaitStatus(id, task.Running)

	b := newTab(t, s.url)
	unharmed := func() {
		t.Helper()
		require.True(t, eval[bool](b, "window.owned === undefined && [...document.images].every(i => i.src.endsWith('/icon.png'))"))
		require.Zero(t, eval[int](b, "document.querySelectorAll('[onerror], [onmouseover], body script').length"))
	}
	b.open("/view?kind=" + "%3Cimg")
	b.wait(listed+".includes(%s)", hostile)
	b.waitText("batches-table", hostile)
	unharmed()

	b.openTask(made, hostile)
	unharmed()
	for _, action := range []string{"action-cancel", "action-succeed", "action-priority"} {
		b.click(action)
		b.wait("document.querySelector('dialog').innerText.includes(%s)", hostile)
		unharmed()
		b.click("confirm-cancel")
		b.waitGone("confirm-cancel")
	}
	b.click("edit-rules")
	b.choose("rules-kind", hostile)
	b.click("confirm-cancel")
	b.click("action-fail")
	b.fillIn("reason", hostile)
	b.click("confirm-ok")
	s.await(hostile, "select failure_reason from taskrunner.task where id = $1", id)
	b.awaitShown(made, hostile, task.Failure)
	b.wait("document.querySelector('[data-test=\"details\"] .reason').innerText.includes(%s)", hostile)
	unharmed()
	for _, name := range append(views[1:], views[0]) {
		b.click("tab-" + name)
		b.awaitPainted(task.Failure, true)
		unharmed()
		b.fillIn("search", "<img")
		b.wait("window.__view.graph.matchCount === 2")
		unharmed()
		b.fillIn("search", "")
		b.wait("!window.__view.graph.filtering")
	}
	b.wait("document.title.includes(%s)", hostile)

	files := newDownloads(b)
	b.click("export")
	b.click("export-svg")
	svg := readSVG(t, files.next())
	require.Zero(t, svg.elements["img"]+svg.elements["script"])
	require.Contains(t, svg.text, hostile)
	b.click("export")
	b.click("export-csv")
	rows := readCSV(t, files.next())
	require.Equal(t, hostile, rows[1]["name"])
	require.Equal(t, hostile, rows[1]["kind"])
	unharmed()
}
