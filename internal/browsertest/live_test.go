package browsertest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/view"
)

// pipeline is a graph whose first task waits to be reported; all others then run through.
func pipeline(hooks *receiver) []entry {
	return []entry{
		hooks.task("checkout", "scm", "/hold"),
		hooks.task("build", "build", "/ok", "checkout"), hooks.task("lint", "check", "/ok", "checkout"),
		hooks.task("docs", "docs", "/ok", "checkout"),
		hooks.task("unit", "test", "/ok", "build"), hooks.task("integration", "test", "/ok", "build"),
		hooks.task("licences", "check", "/ok", "build"), hooks.task("package", "build", "/ok", "unit", "lint", "licences"),
		hooks.task("stage", "deploy", "/ok", "package", "integration"), hooks.task("smoke", "test", "/ok", "stage"),
		hooks.task("publish", "docs", "/ok", "docs", "smoke"), hooks.task("deploy", "deploy", "/ok", "smoke"),
	}
}

// A real graph runs, and whoever watches it sees it turn green: the picture, the table and the timeline, each without being
// loaded again.
func TestGraphTurnsGreen(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("release 7", pipeline(hooks)...)
	s.awaitStatus(made.tasks["checkout"].ID, task.Running)

	tabs := map[string]*tab{}
	for _, name := range views {
		b := newTab(t, s.url)
		tabs[name] = b
		b.openBatch(made, "&tab="+name)
		b.awaitCount(task.Running, 1)
		b.awaitCount(task.Waiting, 11)
		b.awaitPainted(task.Running, true)
		require.Zero(t, b.painted(task.Success), name)
		eval[any](b, "window.untouched = true")
	}
	require.Equal(t, 12, eval[int](tabs["table"], "document.querySelectorAll(%s).length", by("task-row")))

	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["checkout"].ID)
	for name, b := range tabs {
		b.awaitCount(task.Success, 12)
		b.awaitPainted(task.Success, true)
		b.awaitPainted(task.Running, false)
		require.True(t, eval[bool](b, "window.untouched"), "%s was loaded again", name)
		b.wait("document.title.includes('12/12')")
		loads := 0
		for _, r := range b.sent() {
			if strings.Contains(r.url, "/view/graph/") {
				loads++
			}
		}
		require.Equal(t, 1, loads, "%s: the graph did not change, only its states", name)
	}
	require.Equal(t, 12, eval[int](tabs["table"], "document.querySelectorAll(%s).length", by("task-row")+`[data-status="Success"]`))
}

// The tabs of one page show the same batch, one after the other, and the address says which.
func TestTabs(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("tabs", hooks.task("first", "k", "/ok"), hooks.task("second", "k", "/fail", "first"), hooks.task("third", "k", "/ok", "second"))
	s.awaitStatus(made.tasks["third"].ID, task.Failure)
	b := newTab(t, s.url)
	b.openBatch(made, "")
	b.awaitPainted(task.Success, true)
	b.awaitPainted(task.Failure, true)
	for _, name := range append(views[1:], views[0]) {
		b.click("tab-" + name)
		b.wait("new URLSearchParams(location.search).get('tab') === %s && document.querySelector(%s).ariaSelected === 'true'", name, by("tab-"+name))
		b.awaitPainted(task.Success, true)
		b.awaitPainted(task.Failure, true)
	}
	eval[any](b, "history.back()")
	b.wait("document.querySelector(%s).ariaSelected === 'true'", by("tab-"+views[len(views)-1]))
	b.awaitPainted(task.Failure, true)
}

// everyStream takes all streams that the replica has, so that a page has none. The returned function gives them back.
func (s *service) everyStream(made batch) (end func()) {
	s.t.Helper()
	var streams []*http.Response
	look := func() int {
		resp, err := client.Get(s.url + "/view/events?batch=" + made.id.String())
		require.NoError(s.t, err)
		streams = append(streams, resp)
		return resp.StatusCode
	}
	for n := range view.MostClients {
		until(s.t, func() bool { return look() == http.StatusOK }, "somebody else has one: only %d streams are to be had", n)
	}
	require.Equal(s.t, http.StatusServiceUnavailable, look())
	return func() {
		for _, resp := range streams {
			resp.Body.Close()
		}
	}
}

// A page that nobody sees, or that was left, holds no stream: a browser has six connections for all its pages.
func TestPagesGiveTheirStreamBack(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("again and again", hooks.task("a", "k", "/hold"))
	s.awaitStatus(made.tasks["a"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "")
	const heard = "document.dispatchEvent(new Event('visibilitychange'))"
	eval[any](b, "Object.defineProperty(document, 'hidden', {configurable: true, value: true}) && "+heard)
	b.awaitConnection("polling")
	s.everyStream(made)()
	eval[any](b, "delete document.hidden && "+heard)
	b.awaitConnection("live")

	b.open("/view")
	s.everyStream(made)()
	eval[any](b, "history.back()")
	b.awaitConnection("live")
}

// Tasks and links that come later are drawn, what was chosen stays; and a batch that is removed is said to be.
func TestGraphGrowsAndGoes(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("growing", hooks.task("old", "k", "/hold"))
	s.awaitStatus(made.tasks["old"].ID, task.Running)
	b := newTab(t, s.url)
	b.openTask(made, "old")
	b.fillIn("search", "o")
	b.wait("window.__view.graph.filtering")
	for n := range 5 {
		s.exec(`with made as (insert into taskrunner.task (batch_id, name, kind) values ($1, $2, 'k') returning id)
			insert into taskrunner.link (parent_id, child_id, requires_success) select $3, id, true from made`, made.id, fmt.Sprintf("new %d", n), made.tasks["old"].ID)
		b.wait("window.__view.graph.count === %s", n+2)
	}
	require.True(t, eval[bool](b, "window.__view.graph.matchCount === 1 && window.__view.graph.names[window.__view.graph.selected] === 'old'"))
	b.wait("(d => [...d.querySelectorAll('a')].filter(a => a.innerText.startsWith('new ')).length === 5)(document.querySelector(%s))", by("details"))

	s.exec("select taskrunner.stop_batch($1)", made.id)
	b.awaitCount(task.Canceled, 6)
	b.allow(`^request: GET .*/(view|task)/.*: 404$`) // the details look once more
	s.exec("delete from taskrunner.task where batch_id = $1", made.id)
	s.exec("delete from taskrunner.batch where id = $1", made.id)
	b.wait("document.body.innerText.includes('removed')")
}
