package browsertest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// listed is the names of the batches that the list shows, "" while it is loading.
const listed = `[...document.querySelectorAll('[data-test="batch-row"] a')].map(a => a.innerText)`

// awaitListed waits until the list shows certain batches.
func (b *tab) awaitListed(names ...string) {
	b.t.Helper()
	b.wait("JSON.stringify("+listed+") === JSON.stringify(%s)", append([]string{}, names...))
}

// The list of batches shows what the API has of each, page by page; filters are part of the address; what changes is seen.
func TestListOfBatches(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	var names []string // newest first
	for n := range 3 {
		s.submit(fmt.Sprintf("held %d", n), hooks.task(fmt.Sprintf("held task %d", n), "holder", "/hold"))
		names = append([]string{fmt.Sprintf("held %d", n)}, names...)
	}
	mixed := s.submit("mixed", hooks.task("fine", "etl", "/ok"), hooks.task("broken", "report", "/fail"), hooks.task("stuck", "report", "/hold", "broken"))
	names = append([]string{"mixed"}, names...)
	s.awaitStatus(mixed.tasks["fine"].ID, task.Success)
	s.awaitStatus(mixed.tasks["stuck"].ID, task.Failure)

	b := newTab(t, s.url)
	b.open("/view")
	b.awaitListed(names...)
	row := fmt.Sprintf("document.querySelector('[data-batch=%s]')", strconv.Quote(mixed.id.String()))
	b.wait(row + ".innerText.includes('etl') && " + row + ".innerText.includes('report')")
	b.wait(row + ".querySelector('.bar').ariaLabel === '1 Success, 2 Failure'")

	b.fillIn("filter-name", "broken")
	b.awaitListed("mixed")
	b.wait("new URLSearchParams(location.search).get('name') === 'broken'")
	b.fillIn("filter-name", "nobody is called so")
	b.awaitListed()
	b.fillIn("filter-name", "")
	b.awaitListed(names...)
	b.fillIn("filter-kind", "holder")
	b.awaitListed(names[1:]...)
	b.choose("filter-status", "Success")
	b.awaitListed()
	b.fillIn("filter-kind", "")
	b.awaitListed("mixed")
	b.choose("filter-status", "")
	b.awaitListed(names...)
	b.choose("filter-since", "3600")
	b.awaitListed(names...)
	b.choose("filter-since", "between")
	b.set("filter-from", time.Now().Add(24*time.Hour).Format("2006-01-02T15:04"))
	b.awaitListed()
	b.set("filter-from", time.Now().Add(-24*time.Hour).Format("2006-01-02T15:04"))
	b.awaitListed(names...)
	b.set("filter-to", time.Now().Add(-23*time.Hour).Format("2006-01-02T15:04"))
	b.awaitListed()
	b.open("/view?name=broken")
	b.awaitListed("mixed")
	require.Equal(t, "broken", eval[string](b, "document.querySelector(%s).value", by("filter-name")))

	// What is new, and what goes on, is seen without a click.
	b.open("/view")
	b.awaitListed(names...)
	eval[any](b, "window.untouched = true")
	s.submit("the newest", hooks.task("x", "k", "/ok"))
	b.awaitListed(append([]string{"the newest"}, names...)...)
	b.wait(`document.querySelector('[data-test="batch-row"] .bar').ariaLabel === '1 Success'`)
	require.True(t, eval[bool](b, "window.untouched"))

	b.clickOn(`[...document.querySelectorAll('[data-test="batch-row"] a')].find(a => a.innerText === 'mixed')`)
	b.wait("window.__view?.graph.batchId === %s", mixed.id.String())
	require.True(t, eval[bool](b, "window.untouched"), "links within the page do not load it again")
	eval[any](b, "history.back()")
	b.awaitListed(append([]string{"the newest"}, names...)...)
}

// A long list is shown by pages, in the order of the API, none twice and none left out.
func TestPagesOfBatches(t *testing.T) {
	t.Parallel()
	s := startService(t)
	const n = 120
	s.exec(`select taskrunner.submit_batch(jsonb_build_object('name', 'batch ' || n, 'tasks', jsonb_build_array(jsonb_build_object(
		'id', 'a', 'name', 'a', 'kind', 'k', 'run_at', $2::timestamptz, 'on_start', jsonb_build_object('kind', 'Webhook', 'params', jsonb_build_object('url', 'http://127.0.0.1:9/', 'verb', 'Get'))))))
		from generate_series(1, $1::integer) n`, n, time.Now().Add(time.Hour))
	b := newTab(t, s.url)
	b.open("/view")
	seen := map[string]int{}
	b.wait(listed + ".length > 0")
	first := eval[[]string](b, listed)
	for page := first; ; {
		for _, name := range page {
			seen[name]++
		}
		if len(seen) == n {
			break
		}
		b.click("next-page")
		b.wait("((now) => now.length > 0 && now[0] !== %s)("+listed+")", page[0])
		page = eval[[]string](b, listed)
	}
	for name, times := range seen {
		require.Equal(t, 1, times, name)
	}
	b.waitGone("next-page")
	for b.shows("previous-page") {
		before := eval[[]string](b, listed)[0]
		b.click("previous-page")
		b.wait(listed+"[0] !== %s", before)
	}
	b.awaitListed(first...)
}
