package browsertest

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/stretchr/testify/require"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Of hours in which tasks took seconds, the time line shows the seconds to whoever comes nearer: by a pinch or by keys.
func TestTimelineZooms(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("hours", hooks.task("a", "k", "/ok"), hooks.task("b", "k", "/hold"))
	s.awaitStatus(made.tasks["a"].ID, task.Success)
	s.awaitStatus(made.tasks["b"].ID, task.Running)
	b := newTab(t, s.url)
	b.resize(400, 800, 1)
	b.openBatch(made, "&tab=timeline")
	b.awaitPainted(task.Running, true)
	const aside = `document.querySelector('.time.status-success .time-text').innerText.startsWith('‹')`
	b.wait("window.__view.graph.now() - Math.max(...window.__view.graph.endedAt) > 2000") // or what has ended would still be in sight
	b.wait("!" + aside)
	first, second := 1.0, 2.0
	pinch := func() {
		t.Helper()
		touch := func(kind input.DispatchTouchEventType, apart float64) {
			t.Helper()
			params := input.DispatchTouchEventParams{Type: kind, TouchPoints: []*input.TouchPoint{}}
			if kind != input.DispatchTouchEventTypeTouchEnd {
				params.TouchPoints = []*input.TouchPoint{{X: 265 - apart/2, Y: 400, ID: &first}, {X: 265 + apart/2, Y: 400, ID: &second}}
			}
			call(b, input.DispatchTouchEvent, params)
		}
		touch(input.DispatchTouchEventTypeTouchStart, 30)
		for apart := 40.0; apart <= 150; apart += 10 {
			touch(input.DispatchTouchEventTypeTouchMove, apart)
		}
		touch(input.DispatchTouchEventTypeTouchEnd, 0)
	}
	pinch()
	b.wait(aside)
	b.press("f")
	b.wait("!" + aside)
	b.press("++")
	b.wait(aside)

	// So does the graph.
	b.click("tab-graph")
	b.awaitPainted(task.Running, true)
	before := eval[float64](b, "window.__view.view.stats().scale")
	pinch()
	b.wait("window.__view.view.stats().scale > 2 * %s", before)

	// Who wants no motion is there at once.
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	b.wait("matchMedia('(prefers-reduced-motion: reduce)').matches")
	require.InDelta(t, before, eval[float64](b, "(v => { v.fit(); return v.stats().scale; })(window.__view.view)"), before/100)
}
