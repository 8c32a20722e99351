//go:build screenshots

package browsertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// TestScreenshots writes pictures of the page into the folder that SCREENSHOTS names: `make screenshots`.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	hooks := newReceiver(t)
	s := startService(t)
	scene(t, s, hooks)
	entries := pipeline(hooks)
	for _, e := range entries {
		switch e["name"] {
		case "unit", "licences":
			e["on_start"], e["expected_count"] = hooks.hook("/hold"), 420
		case "docs":
			e["on_start"] = hooks.hook("/fail")
		case "package":
			for _, d := range e["dependencies"].([]any) {
				d.(map[string]any)["requires_success"] = d.(map[string]any)["id"] != "lint"
			}
		}
	}
	twelve := s.submit("release 2.4.0", entries...)
	running := twelve.tasks
	s.awaitStatus(running["checkout"].ID, task.Running)
	s.exec("select taskrunner.pause_task($1)", running["smoke"].ID)
	s.exec("select taskrunner.finish_task($1, 'Success')", running["checkout"].ID)
	s.awaitStatus(running["integration"].ID, task.Success)
	s.awaitStatus(running["unit"].ID, task.Running)
	s.awaitStatus(running["publish"].ID, task.Failure)
	s.exec("select taskrunner.add_progress($1, 63, 2)", running["unit"].ID)
	medium, big := s.lattice("500 tasks", 25, 20), s.lattice("10,000 tasks", 100, 100)

	b := newTab(t, s.url)
	shoot := func(name string) {
		t.Helper()
		// Two frames later everything is drawn.
		eval[any](b, "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
		b.wait("document.getAnimations().length === 0")
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), b.picture(), 0o644))
	}
	batchIn := func(made batch, query string, status task.Status) {
		t.Helper()
		b.openBatch(made, query)
		b.awaitPainted(status, true)
	}
	for _, theme := range []string{"light", "dark"} {
		b.prefer(theme)
		b.resize(1280, 800, 1)
		b.open("/view")
		b.waitText("batches-table", "release")
		b.waitText("overview", "Ended per minute")
		shoot("overview-" + theme)
		batchIn(twelve, "&tab=graph", task.Success)
		shoot("12-tasks-" + theme)
		b.click("critical")
		shoot("critical-path-" + theme)
		batchIn(twelve, "&tab=graph&task="+running["unit"].ID.String(), task.Success)
		b.awaitDetails(twelve, "unit")
		shoot("details-" + theme)
		for _, view := range views[1:] {
			batchIn(twelve, "&tab="+view, task.Success)
			shoot(view + "-" + theme)
		}
		batchIn(medium, "&tab=graph", task.Waiting)
		shoot("500-tasks-" + theme)
		batchIn(big, "&tab=graph", task.Waiting)
		shoot("10000-tasks-" + theme)
		b.press("?")
		b.wait("document.querySelector(%s)?.open", by("help-dialog"))
		shoot("help-" + theme)

		b.resize(400, 800, 2)
		b.open("/view")
		b.waitText("batches-table", "release")
		shoot("phone-overview-" + theme)
		for _, view := range views {
			batchIn(twelve, "&tab="+view, task.Success)
			shoot("phone-" + view + "-" + theme)
		}
		b.openTask(twelve, "unit")
		shoot("phone-details-" + theme)
		b.click("details-close")
		b.waitGone("details")
		b.click("tools")
		shoot("phone-tools-" + theme)
		b.openTask(twelve, "unit")
		b.click("action-cancel")
		b.wait("document.querySelector('dialog[open]')")
		shoot("phone-dialog-" + theme)
	}
}
