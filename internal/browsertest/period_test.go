package browsertest

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
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

// A mouse moves the time line: a drag and a wheel with Shift to the side, a wheel with Ctrl nearer to what is under the pointer. A
// wheel alone scrolls; and only a click that is not the end of a drag opens a task.
func TestTimelineByMouse(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	entries := []entry{hooks.task("first", "k", "/hold"), hooks.task("second", "k", "/hold", "first")}
	for n := range 30 {
		entries = append(entries, hooks.task(fmt.Sprintf("later %d", n), "k", "/hold", "second"))
	}
	made := s.submit("by mouse", entries...)
	s.awaitStatus(made.tasks["first"].ID, task.Running)
	b := newTab(t, s.url)
	b.resize(1200, 500, 1)
	b.openBatch(made, "&tab=timeline")
	b.wait("window.__view.graph.now() - window.__view.graph.startedAt[0] > 2000")
	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["first"].ID)
	b.awaitCount(task.Success, 1)
	b.awaitCount(task.Running, 1)
	b.wait("(g => g.now() - g.endedAt[0] > g.endedAt[0] - g.startedAt[0])(window.__view.graph)")
	s.exec("select taskrunner.finish_task($1, 'Failure')", made.tasks["second"].ID)
	b.awaitCount(task.Failure, 31) // nothing runs: all of the time stays what it is

	const bar = `document.querySelector('[id="time-%s"] .time-bar')`
	first := fmt.Sprintf(bar, made.tasks["first"].ID)
	edge := func() float64 { // where the first task ends
		t.Helper()
		return eval[float64](b, first+".getBoundingClientRect().right")
	}
	settle := func() { // whatever is to be drawn is
		t.Helper()
		eval[any](b, "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r())))")
	}
	awaitEdge := func(x float64) {
		t.Helper()
		b.wait("Math.abs(%s - "+first+".getBoundingClientRect().right) < 2", x)
	}
	width := func() float64 {
		t.Helper()
		return eval[float64](b, first+".parentElement.clientWidth")
	}()
	mouse := func(kind input.DispatchMouseEventType, at spot, params input.DispatchMouseEventParams) {
		t.Helper()
		params.Type, params.X, params.Y = kind, at.X, at.Y
		call(b, input.DispatchMouseEvent, params)
	}
	turn := cdp.Command[map[string]any, cdp.Empty]{Method: input.CommandDispatchMouseEvent} // its own type leaves out a 0, which is wanted
	wheel := func(at spot, modifiers int, dx, dy float64) {
		t.Helper()
		call(b, turn, map[string]any{"type": "mouseWheel", "x": at.X, "y": at.Y, "modifiers": modifiers, "deltaX": dx, "deltaY": dy})
	}
	drag := func(from, to spot, release bool) {
		t.Helper()
		left := input.DispatchMouseEventParams{Button: input.MouseButtonLeft, ClickCount: 1}
		mouse(input.DispatchMouseEventTypeMousePressed, from, left)
		for part := range 5 {
			share := float64(part+1) / 5
			mouse(input.DispatchMouseEventTypeMouseMoved, spot{from.X + share*(to.X-from.X), from.Y + share*(to.Y-from.Y)},
				input.DispatchMouseEventParams{Button: input.MouseButtonLeft, Buttons: 1})
		}
		if release {
			mouse(input.DispatchMouseEventTypeMouseReleased, to, left)
		}
	}
	const ctrl, shift = 2, 8
	at := eval[spot](b, "(r => ({X: r.right, Y: r.top + r.height / 2}))("+first+".getBoundingClientRect())")

	// The moment under the pointer stays there, what is far from it is out of sight.
	require.InDelta(t, 0.5, 1-(eval[float64](b, first+".parentElement.getBoundingClientRect().right")-at.X)/width, 0.35)
	require.Equal(t, "0%", eval[string](b, first+".style.left"))
	wheel(at, ctrl, 0, -200)
	b.wait(first + ".style.left === '-1%'")
	awaitEdge(at.X)
	wheel(at, ctrl, 0, -100)
	settle()
	require.InDelta(t, at.X, edge(), 2)
	require.NotZero(t, eval[int](b, "document.querySelectorAll('.times-axis span').length"))

	// To the side.
	wheel(at, shift, 0, 60)
	awaitEdge(at.X - 60)
	wheel(at, 0, -60, 10)
	awaitEdge(at.X)
	drag(at, spot{at.X - 80, at.Y + 40}, true)
	awaitEdge(at.X - 80)
	require.False(t, eval[bool](b, "new URLSearchParams(location.search).has('task')"), "a drag is no click")
	require.Empty(t, eval[string](b, "getSelection().toString()"), "a drag marks no text")

	// A button that was released where the page did not see it is not held any more.
	drag(spot{at.X - 80, at.Y}, at, false)
	awaitEdge(at.X)
	mouse(input.DispatchMouseEventTypeMouseMoved, spot{at.X + 100, at.Y}, input.DispatchMouseEventParams{})
	mouse(input.DispatchMouseEventTypeMouseMoved, spot{at.X + 150, at.Y}, input.DispatchMouseEventParams{})
	settle()
	require.InDelta(t, at.X, edge(), 2)

	// A wheel scrolls, also if it is not quite straight.
	const top = "document.querySelector('.scroller').scrollTop"
	wheel(at, 0, 0, 100)
	b.wait(top + " > 50")
	wheel(at, 0, 5, -200)
	b.wait(top + " === 0")
	require.InDelta(t, at.X, edge(), 2)

	b.clickAt(spot{at.X - 20, at.Y})
	b.awaitDetails(made, "first")
}
