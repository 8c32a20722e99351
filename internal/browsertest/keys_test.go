package browsertest

import (
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

const (
	arrowLeft, arrowRight, arrowDown = kb.ArrowLeft, kb.ArrowRight, kb.ArrowDown
	tabKey                           = kb.Tab
)

// mostStops is more than a page has places where the Tab key stops.
const mostStops = 300

// focusByTab presses Tab until an element has the focus.
func (b *tab) focusByTab(expression string) {
	b.t.Helper()
	b.wait(expression)
	for range mostStops {
		if eval[bool](b, "document.activeElement === "+expression) {
			return
		}
		b.press(tabKey)
	}
	b.t.Fatalf("not reached by Tab: %s", expression)
}

// tabThrough presses Tab around the page, and fails if it does not stop at everything that a mouse can click, or where a stop
// cannot be seen.
func (b *tab) tabThrough() {
	b.t.Helper()
	eval[any](b, "document.activeElement.blur()")
	eval[any](b, `window.stops = new Set()`)
	unseen := map[string]bool{}
	for range mostStops {
		b.press(tabKey)
		stop := eval[struct {
			Again, Body, Seen bool
			Name              string
		}](b, `(() => {
			const e = document.activeElement, again = window.stops.has(e), style = getComputedStyle(e);
			window.stops.add(e);
			return {Again: again, Body: e === document.body, Seen: style.outlineStyle !== 'none' || style.boxShadow !== 'none', Name: e.outerHTML.slice(0, 120)};
		})()`)
		if stop.Again && !stop.Body {
			break
		}
		if !stop.Body && !stop.Seen {
			unseen[stop.Name] = true
		}
	}
	require.Empty(b.t, unseen, "the focus cannot be seen there")
	require.Empty(b.t, eval[[]string](b, `[...document.querySelectorAll('button, a[href], input, select, textarea, summary')]
		.filter(e => e.checkVisibility() && !e.disabled && e.getAttribute('role') !== 'tab' && !window.stops.has(e)).map(e => e.outerHTML.slice(0, 120))`),
		"not reached by Tab")
}
