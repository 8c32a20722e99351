package browsertest

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// scene is a batch in which most states occur.
func scene(t *testing.T, s *service, hooks *receiver) batch {
	t.Helper()
	long := strings.Repeat("a-very-long-name-without-any-space", 5)
	made := s.submit("scene", hooks.task("done", "build", "/ok"), hooks.task("broken", "test", "/fail", "done"), hooks.task("for nothing", "test", "/hold", "broken"),
		hooks.task("at work", "deploy", "/hold", "done"), hooks.task("held", "deploy", "/hold"), hooks.task("gone", "docs", "/hold"),
		hooks.task(long, long[:100], "/hold", "at work", "held"), hooks.task("last", "deploy", "/hold", long))
	s.awaitStatus(made.tasks["for nothing"].ID, task.Failure)
	for _, name := range []string{"at work", "held", "gone"} {
		s.awaitStatus(made.tasks[name].ID, task.Running)
	}
	s.exec("select taskrunner.pause_task($1)", made.tasks["held"].ID)
	s.exec("select taskrunner.cancel_task($1)", made.tasks["gone"].ID)
	return made
}

// everywhere calls see on each page, tab and dialog of a scene.
func everywhere(b *tab, made batch, see func(where string)) {
	b.open("/view")
	b.wait("document.querySelector(%s)", by("batch-row"))
	b.wait("document.querySelector(%s)?.innerText", by("overview"))
	see("the list")
	b.open("/view?deliveries=Failed")
	b.wait("document.querySelector('main table, main p')")
	see("deliveries")
	for _, name := range views {
		b.openBatch(made, "&tab="+name)
		b.awaitPainted(task.Failure, true)
		see(name)
	}
	b.press("?")
	b.wait("document.querySelector(%s)?.open", by("help-dialog"))
	see("help")
	b.openTask(made, "at work")
	see("details")
	for _, action := range []string{"action-cancel", "action-fail", "action-priority", "edit-rules", "stop-batch"} {
		if action == "edit-rules" {
			b.click("details-close") // on a phone they cover all
			b.waitGone("details")
			if b.shows("tools") {
				b.click("tools")
				see("tools")
			}
		}
		b.click(action)
		b.wait("document.querySelector('dialog[open]')")
		see(action)
		b.click("confirm-cancel")
		b.waitGone("confirm-cancel")
	}
	b.open("/view?batch=00000000-0000-4000-8000-000000000000")
	b.wait("document.querySelector(%s)", by("error"))
	see("an error")
}

// On a phone nothing has to be moved to the side, everything can be done, and whoever sees little can use it, too.
func TestPhone(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := scene(t, s, hooks)
	b := newTab(t, s.url)
	b.resize(400, 800, 1)
	b.allow(`^request: GET .*/view/graph/00000000-.*: 404$`)
	everywhere(b, made, func(where string) {
		require.LessOrEqual(t, eval[float64](b, "document.documentElement.scrollWidth"), 400., where)
		require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('dialog[open], dialog[open] *, header button, .toolbar button')]
			.filter(e => e.checkVisibility() && e.getBoundingClientRect().right > 400.5).map(e => e.outerHTML.slice(0, 120))`), where)
		require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('.times-axis span')]
			.filter(e => e.getBoundingClientRect().right > (e.nextElementSibling ?? e.parentElement).getBoundingClientRect()[e.nextElementSibling ? 'left' : 'right'] + 0.5)
			.map(e => e.textContent)`), where+": times of the axis that run into the next, or are cut")
		if !b.shows("confirm-cancel") { // dialogs are as elsewhere
			b.audit(where + " on a phone")
		}
	})
	b.openTask(made, "at work")
	b.click("action-pause")
	s.awaitStatus(made.tasks["at work"].ID, task.Paused)
}

// Light or dark is what the system says, until somebody says otherwise; then it stays.
func TestThemes(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := scene(t, s, hooks)
	b := newTab(t, s.url)
	const lightness = `(c => c.match(/[\d.]+/g).slice(0, 3).reduce((a, v) => a + Number(v), 0) / 3)(getComputedStyle(document.documentElement).backgroundColor)`
	b.prefer("light")
	b.openBatch(made, "")
	b.awaitPainted(task.Failure, true)
	require.Greater(t, eval[float64](b, lightness), 200.)
	light := b.colour(task.Failure)
	b.prefer("dark")
	b.wait(lightness + " < 60")
	require.NotEqual(t, light, b.colour(task.Failure))
	b.awaitPainted(task.Failure, true)
	b.click("theme")
	b.wait(lightness + " > 200")
	b.awaitPainted(task.Failure, true)
	b.openBatch(made, "")
	require.Greater(t, eval[float64](b, lightness), 200., "the choice is remembered")
}

// All that the page ever loads of itself comes compressed, within 400 kB, and from the service alone.
func TestFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("small", hooks.task("a", "k", "/hold"))
	s.awaitStatus(made.tasks["a"].ID, task.Running)
	b := newTab(t, s.url)
	b.open("/view")
	b.waitText("batches-table", "small")
	first := 0
	for _, r := range b.sent() {
		first += r.received
	}
	b.openTask(made, "a")
	for _, name := range append(views[1:], views[0]) {
		b.click("tab-" + name)
		b.awaitPainted(task.Running, true)
	}
	b.takeProblems()
	assets, all := 0, 0
	for _, r := range b.sent() {
		require.True(t, strings.HasPrefix(r.url, s.url+"/"), r.url)
		all += r.received
		if strings.Contains(r.url, "/view/assets/") {
			require.NotZero(t, r.received, r.url)
			assets += r.received
		}
	}
	t.Logf("%d bytes for the list, %d with a batch in all tabs, %d of them assets", first, all, assets)
	require.LessOrEqual(t, all, 400_000)
}

//go:embed axe/axe.min.js.gz
var axeSource []byte

// audit has axe-core look at what is shown.
func (b *tab) audit(where string) {
	b.t.Helper()
	if !eval[bool](b, "typeof window.axe === 'object'") {
		compressed, err := gzip.NewReader(bytes.NewReader(axeSource))
		require.NoError(b.t, err)
		source, err := io.ReadAll(compressed)
		require.NoError(b.t, err)
		// DevTools may, whatever the policy of the page.
		_, err = chromedp.Run(b.ctx, chromedp.Evaluate[chromedp.Void](string(source)+"\nundefined"))
		require.NoError(b.t, err)
	}
	type finding struct {
		ID, Help string
		Nodes    []string
	}
	found := eval[[]finding](b, `window.axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
		.then(r => r.violations.map(v => ({ID: v.id, Help: v.help, Nodes: v.nodes.map(n => n.html.slice(0, 150) + ' ' + (n.any[0]?.message ?? ''))})))`)
	for _, f := range found {
		b.t.Errorf("%s: %s: %s\n  %s", where, f.ID, f.Help, strings.Join(f.Nodes, "\n  "))
	}
}

// Whoever sees little or nothing, or few colours, can use it, in both themes.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := scene(t, s, hooks)
	b := newTab(t, s.url)
	b.allow(`^request: GET .*/view/graph/00000000-.*: 404$`)
	for _, theme := range []string{"light", "dark"} {
		b.prefer(theme)
		everywhere(b, made, func(where string) { b.audit(fmt.Sprintf("%s, %s", where, theme)) })
	}
}
