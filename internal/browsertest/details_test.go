package browsertest

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// A click on a task shows all that is known about it, and leads to its neighbours.
func TestDetails(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	first := hooks.task("first", "etl", "/ok")
	secret := hooks.hook("/gone/first")
	secret["params"].(map[string]any)["headers"] = map[string]any{"Authorization": "Bearer of-a-secret", "X-Plain": "to be seen"}
	first["on_success"] = []any{secret}
	second := hooks.task("second", "etl", "/hold", "first")
	second["metadata"] = map[string]any{"project": 7, "deep": map[string]any{"list": []int{1, 2, 3}}}
	second["expected_count"] = 48
	second["priority"] = 5
	third := hooks.task("third", "report", "/hold", "second")
	held := hooks.task("held", "report", "/hold")
	held["rules"] = []any{map[string]any{"type": "Concurency", "max_concurency": 1, "matcher": map[string]any{"status": "Running", "kind": "etl", "fields": []any{}}}}
	held["run_at"] = "2100-01-01T00:00:00Z"
	made := s.submit("details", first, second, third, held)
	s.awaitStatus(made.tasks["second"].ID, task.Running)
	s.await("Failed", "select max(status::text) from taskrunner.delivery where task_id = $1 and trigger = 'End'", made.tasks["first"].ID)
	s.exec("select taskrunner.add_progress($1, 30, 2)", made.tasks["second"].ID)

	b := newTab(t, s.url)
	call(b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Kolkata"})
	b.openBatch(made, "&tab=table")
	b.clickOn(`[...document.querySelectorAll('[data-test="task-row"]')].find(r => r.innerText.includes('second'))`)
	b.awaitDetails(made, "second")
	b.wait("new URLSearchParams(location.search).get('task') === %s", made.tasks["second"].ID.String())
	for _, part := range []string{made.tasks["second"].ID.String(), "Running", "etl", "32 of 48", "2 failed", "first", "third", "required", "Post", hooks.url + "/hold"} {
		b.wait("document.querySelector(%s).innerText.toLowerCase().includes(%s.toLowerCase())", by("details"), part)
	}
	require.JSONEq(t, `{"project": 7, "deep": {"list": [1, 2, 3]}}`, eval[string](b, `document.querySelector(%s).innerText.replace(/^metadata: /, '')`, by("metadata")))
	require.Contains(t, b.text("details"), "\n5\n", "priority")

	// What waits says for what, and leads there; so do parents and children.
	follow := func(name string) {
		t.Helper()
		b.clickOn(`[...document.querySelectorAll('[data-test="details"] a')].find(a => a.innerText === %s)`, name)
		b.awaitDetails(made, name)
		require.Equal(t, name, eval[string](b, "window.__view.graph.names[window.__view.graph.selected]"))
	}
	follow("third")
	b.waitText("why", "second")
	follow("second")
	follow("first")
	text := b.text("details")
	require.NotContains(t, text, "of-a-secret")
	require.NotContains(t, eval[string](b, "document.documentElement.outerHTML"), "of-a-secret")
	require.NotContains(t, text, "Why it does not run")
	eval[any](b, `document.querySelectorAll('[data-test="details"] details').forEach(d => { d.open = true })`)
	b.waitText("details", "***")
	b.waitText("details", "to be seen")
	require.Regexp(t, `410[\s\S]*\d+ ms`, b.text("details"))
	var log []task.LoggedDelivery
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/task/"+made.tasks["first"].ID.String()+"/deliveries", "", &log))
	tries := 0
	for _, d := range log {
		tries += len(d.Attempts)
	}
	require.Equal(t, 2, tries)
	require.Equal(t, tries, eval[int](b, `document.querySelectorAll('[data-test="details"] .tries tbody tr').length`))

	b.click("details-close")
	b.waitGone("details")
	b.wait("!new URLSearchParams(location.search).has('task')")
	b.clickOn(`[...document.querySelectorAll('[data-test="task-row"]')].find(r => r.innerText.includes('held'))`)
	b.awaitDetails(made, "held")
	b.waitText("why", "It is not to start before 2100-01-01 05:30:00.") // in the time zone of the person, as all times

	// It is up to date without being opened again.
	s.exec("select taskrunner.pause_task($1)", made.tasks["held"].ID)
	b.wait("document.querySelector(%s).dataset.loaded === 'Paused'", by("details"))
	b.wait("document.querySelector(%s)", by("action-resume"))
}

// Search and filters narrow what is shown, in every tab, and say how much it is.
func TestSearchAndFilters(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("release 8", pipeline(hooks)...)
	s.awaitStatus(made.tasks["checkout"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "&tab=table")
	b.awaitCount(task.Running, 1)
	rows := func(names ...string) {
		t.Helper()
		b.wait("JSON.stringify([...document.querySelectorAll('[data-test=\"task-row\"] .c-name')].map(c => c.innerText)) === JSON.stringify(%s)", append([]string{}, names...))
	}
	b.fillIn("search", "DEPL")
	rows("deploy")
	b.waitText("found", "1 of 12")
	b.fillIn("search", made.tasks["smoke"].ID.String())
	rows("smoke")
	b.fillIn("search", "")
	b.clickOn(`document.querySelector('[data-test="filter-status"] [data-status="Running"]')`)
	rows("checkout")
	b.clickOn(`document.querySelector('[data-test="filter-status"] [data-status="Waiting"]')`)
	b.wait("window.__view.graph.matchCount === 12")
	b.clickOn(`document.querySelector('[data-test="filter-status"] [data-status="Running"]')`)
	b.wait("window.__view.graph.matchCount === 11")
	b.clickOn(`document.querySelector('[data-test="filter-kind"] summary')`)
	b.clickOn(`document.querySelector('[data-test="filter-kind"] input[value="test"]')`)
	rows("unit", "integration", "smoke")
	b.press("\x1b")
	b.clickOn(`document.querySelector('[data-test="sort-name"]')`)
	rows("integration", "smoke", "unit")
	b.clickOn(`document.querySelector('[data-test="sort-name"]')`)
	rows("unit", "smoke", "integration")

	// The picture dims what does not match; nothing is left of it in the colour of those that wait.
	b.click("tab-graph")
	b.awaitPainted(task.Running, false)
	require.Equal(t, 3, eval[int](b, "window.__view.graph.matchCount"), "a filter outlives a change of tabs")

	// A filter by state follows the states.
	b.click("tab-table")
	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["checkout"].ID)
	b.awaitCount(task.Success, 12)
	rows()
}

// The keys that the help tells do what it says, and everything can be reached by them.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("keys", hooks.task("one", "k", "/hold"), hooks.task("two", "k", "/hold", "one"), hooks.task("three", "k", "/hold", "two"))
	s.awaitStatus(made.tasks["one"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "")
	selected := func(name string) {
		t.Helper()
		b.wait("window.__view.graph.names[window.__view.graph.selected] === %s", name)
	}

	b.press("?")
	b.wait("document.querySelector(%s)?.open", by("help-dialog"))
	b.press("\x1b")
	b.wait("!document.querySelector('dialog')")

	b.press("2")
	b.wait("document.querySelector(%s).ariaSelected === 'true'", by("tab-table"))
	b.press("3")
	b.wait("document.querySelector(%s).ariaSelected === 'true'", by("tab-timeline"))
	b.press("1")
	b.wait("document.querySelector(%s).ariaSelected === 'true' && window.__view.view.fit", by("tab-graph"))

	b.press("/")
	b.wait("document.activeElement === document.querySelector(%s)", by("search"))
	b.press("o?1")
	b.wait("document.querySelector(%s).value === 'o?1' && !document.querySelector('dialog')", by("search"))
	b.press("\x1b")
	b.wait("document.querySelector(%s).value === ''", by("search"))
	b.fillIn("search", "two")
	b.press("\r")
	selected("two")
	b.press("\x1b")

	b.focusByTab("document.querySelector('#view [tabindex=\"0\"]')")
	b.press(arrowRight)
	selected("three")
	b.press(arrowLeft)
	selected("two")
	b.press(arrowLeft)
	selected("one")
	b.press("\r")
	b.awaitDetails(made, "one")
	b.press("\x1b")
	b.waitGone("details")
	selected("one")

	b.press("2")
	b.wait("document.querySelector(%s)", by("tasks-table"))
	b.focusByTab("document.querySelector('#view [tabindex=\"0\"]')")
	b.press(arrowDown)
	selected("two")
	b.press("\r")
	b.awaitDetails(made, "two")

	// Whatever can be clicked can be reached by Tab alone, and is seen to be reached; of tabs, the chosen one.
	for _, path := range []string{made.view() + "&task=" + made.tasks["two"].ID.String(), "/view"} {
		b.open(path)
		b.wait("document.querySelector(%s)?.dataset.loaded || document.querySelector(%s) && document.querySelector('[data-tile]')", by("details"), by("batch-row"))
		b.tabThrough()
	}
}
