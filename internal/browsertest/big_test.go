package browsertest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/taskrunner/taskrunner/internal/task"
)

// lattice makes a batch of layers, whose tasks each require three of the layer before; none of them starts.
func (s *service) lattice(name string, layers, width int) batch {
	s.t.Helper()
	id := ask[uuid.UUID](s, `
		select batch_id from taskrunner.submit_batch((
			select jsonb_build_object('name', $1::text, 'tasks', jsonb_agg(jsonb_build_object(
				'id', l || '-' || n, 'name', 'task ' || l || '-' || n, 'kind', (array['build', 'test', 'deploy'])[1 + n % 3],
				'run_at', '2100-01-01T00:00:00Z', 'on_start', '{"kind": "Webhook", "params": {"url": "http://127.0.0.1:9/", "verb": "Get"}}'::jsonb,
				'dependencies', case when l = 0 then '[]' else (select jsonb_agg(jsonb_build_object('id', (l - 1) || '-' || (n + k) % $3, 'requires_success', k <> 1))
					from generate_series(0, 2) k) end) order by l, n))
			from generate_series(0, $2::integer - 1) l, generate_series(0, $3::integer - 1) n)) limit 1`, name, layers, width)
	return batch{id: id}
}

// A graph of ten thousand tasks and thirty thousand links is drawn: in groups from afar, task by task from near; it can be moved.
func TestBigGraph(t *testing.T) {
	t.Parallel()
	s := startService(t)
	made := s.lattice("big", 100, 100)
	b := newTab(t, s.url)
	b.openBatch(made, "&tab=graph")
	require.Equal(t, 10_000, eval[int](b, "window.__view.graph.count"))
	require.Equal(t, 29_700, eval[int](b, "window.__view.graph.linkParent.length"))
	b.awaitPainted(task.Waiting, true)
	b.wait("window.__view.view.stats().grouped")

	// A click on a group goes to a task of it, so near that one can read.
	b.clickAt(spot{500, 500})
	b.wait("(s => !s.grouped && s.scale === 0.8)(window.__view.view.stats())")
	b.awaitPainted(task.Waiting, true)
	b.click("fit")
	b.wait("window.__view.view.stats().grouped")

	// From near there are tasks, with their names.
	for b.click("zoom-in"); eval[bool](b, "window.__view.view.stats().grouped"); b.click("zoom-in") {
		b.awaitPainted(task.Waiting, true)
	}
	b.awaitPainted(task.Waiting, true)

	// Dragging moves it, and a click opens what is under the mouse.
	place := func() [3]float64 {
		t.Helper()
		return eval[[3]float64](b, "(s => [s.scale, s.left, s.top])(window.__view.view.stats())")
	}
	before := place()
	for _, step := range []chromedp.Action[chromedp.Void]{
		chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, 500, 500, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 450, 480, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 380, 440, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, 380, 440, chromedp.ButtonLeft, chromedp.ClickCount(1)),
	} {
		require.NoError(t, chromedp.Do(b.ctx, step))
	}
	b.wait("(s => s.left !== %s && s.top !== %s && s.scale === %s)(window.__view.view.stats())", before[1], before[2], before[0])
	b.awaitPainted(task.Waiting, true)

	b.fillIn("search", "task 77-3")
	b.wait("window.__view.graph.matchCount === 11")
	b.press("\r")
	b.wait("window.__view.graph.names[window.__view.graph.selected] === 'task 77-3'")
	b.wait("!window.__view.view.stats().grouped")
	b.click("fit")
	b.wait("window.__view.view.stats().grouped")

	// It is live too, and the table and the timeline take it.
	s.exec("select taskrunner.stop_batch($1)", made.id)
	b.awaitCount(task.Canceled, 10_000)
	b.awaitPainted(task.Canceled, true)
	b.fillIn("search", "")
	b.click("tab-table")
	b.awaitPainted(task.Canceled, true)
	require.Less(t, eval[int](b, "document.querySelectorAll('*').length"), 3000, "only rows that can be seen are in the page")
	b.click("tab-" + views[len(views)-1])
	b.awaitPainted(task.Canceled, true)
}
