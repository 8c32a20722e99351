package browsertest

import (
	"image/color"
	"regexp"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// This file is what tests know about the page of a batch.

// views are the tabs of the page.
var views = []string{"graph", "table", "timeline"}

// openBatch opens the page of a batch and waits until its tab draws and it follows the events. Of query, "&tab=table" for example.
func (b *tab) openBatch(made batch, query string) {
	b.t.Helper()
	b.open(made.view() + query)
	b.wait("window.__view?.view")
	b.wait("document.querySelector(%s).dataset.state === 'live'", by("connection"))
}

// openTask opens the details of a task.
func (b *tab) openTask(made batch, name string) {
	b.t.Helper()
	b.openBatch(made, "&task="+made.tasks[name].ID.String())
	b.awaitDetails(made, name)
}

// awaitDetails waits until the details are those of a task.
func (b *tab) awaitDetails(made batch, name string) {
	b.t.Helper()
	b.wait("(d => d.checkVisibility() && d.dataset.task === %s && d.dataset.loaded)(document.querySelector(%s))",
		made.tasks[name].ID.String(), by("details"))
}

// awaitShown waits until the page knows a task in a status.
func (b *tab) awaitShown(made batch, name string, status task.Status) {
	b.t.Helper()
	b.wait("(g => g.statusName(g.indexOf(%s)) === %s)(window.__view.graph)", made.tasks[name].ID.String(), string(status))
}

// awaitCount waits until the page knows n tasks in a status.
func (b *tab) awaitCount(status task.Status, n int) {
	b.t.Helper()
	b.wait("(g => g.counts()[g.statuses.indexOf(%s)] === %s)(window.__view.graph)", string(status), n)
}

// colour is that of a status in the present theme.
func (b *tab) colour(status task.Status) color.RGBA {
	b.t.Helper()
	value := eval[string](b, "getComputedStyle(document.documentElement).getPropertyValue(%s).trim()", "--status-"+strings.ToLower(string(status)))
	require.Regexp(b.t, regexp.MustCompile(`^#[0-9a-f]{6}$`), value)
	rgb, err := strconv.ParseUint(value[1:], 16, 32)
	require.NoError(b.t, err)
	return color.RGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 255}
}

// painted counts the pixels of the view, be it graph, table or timeline, that have the colour of a status.
func (b *tab) painted(status task.Status) (n int) {
	b.t.Helper()
	want := b.colour(status)
	box := eval[struct{ Left, Top, Right, Bottom float64 }](b, `((r, s) => ({Left: s * r.left, Top: s * r.top, Right: s * r.right, Bottom: s * r.bottom}))(
		document.getElementById('view').getBoundingClientRect(), devicePixelRatio)`)
	window := b.pixels()
	bounds := window.Bounds()
	for y := max(bounds.Min.Y, int(box.Top)); y < min(bounds.Max.Y, int(box.Bottom)); y++ {
		for x := max(bounds.Min.X, int(box.Left)); x < min(bounds.Max.X, int(box.Right)); x++ {
			at := window.PixOffset(x, y)
			if near(color.RGBA{window.Pix[at], window.Pix[at+1], window.Pix[at+2], 255}, want) {
				n++
			}
		}
	}
	return n
}

// near says whether two colours look the same.
func near(a, b color.RGBA) bool {
	close := func(a, b uint8) bool { return max(a, b)-min(a, b) <= 4 }
	return close(a.R, b.R) && close(a.G, b.G) && close(a.B, b.B)
}

// awaitPainted waits until the view has the colour of a status, or has it no more.
func (b *tab) awaitPainted(status task.Status, is bool) {
	b.t.Helper()
	until(b.t, func() bool { return b.painted(status) > 20 == is }, "%s is not painted: %t", status, !is)
}
