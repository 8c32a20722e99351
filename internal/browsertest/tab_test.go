package browsertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait. It is long because several of these tests share two cores.
const patience = 40 * time.Second

// look is how often a condition of the page is looked at.
const look = 20 * time.Millisecond

// tab is a tab of the browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // the URL of the replica

	mu       sync.Mutex
	allowed  []*regexp.Regexp
	problems []string
	requests map[network.RequestID]*request
}

// request is one that the page made.
type request struct {
	method, url string
	status      int
	received    int // bytes that came over the network, headers included
}

func (r request) String() string { return r.method + " " + r.url }

// newTab opens an empty tab with a profile of its own: nothing is stored in it, nothing is shared. When the test ends, what
// went wrong in it and was not allowed fails the test.
func newTab(t *testing.T, base string) *tab {
	t.Helper()
	return openTab(t, sharedChromium(t), base, chromedp.WithNewBrowserContext())
}

// newSibling opens another tab with the profile of this one.
func (b *tab) newSibling() *tab {
	b.t.Helper()
	return openTab(b.t, b.ctx, b.base)
}

func openTab(t *testing.T, parent context.Context, base string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, base: base, requests: map[network.RequestID]*request{}}
	ctx, end := chromedp.NewContext(parent, append(options, chromedp.WithListener(b.note))...)
	t.Cleanup(end)
	b.ctx = ctx
	require.NoError(t, chromedp.Do(ctx))
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI))`})
	t.Cleanup(func() {
		for _, problem := range b.takeProblems() {
			t.Errorf("in the browser: %s", problem)
		}
		if t.Failed() {
			picture, err := os.CreateTemp(t.ArtifactDir(), "window-*.png")
			require.NoError(t, err)
			defer picture.Close()
			_, err = picture.Write(b.picture())
			require.NoError(t, err)
			t.Logf("what the window shows: %s (kept by -artifacts)", picture.Name())
		}
	})
	return b
}

// call sends a command to the tab.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.Call(ctx, command, params)
	require.NoError(b.t, err)
	return answer
}

// note hears what happens in the tab.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			var text []string
			for _, arg := range e.Args {
				text = append(text, cmp.Or(arg.Description, strings.Trim(string(arg.Value), `"`)))
			}
			b.problem("console: %s", strings.Join(text, " "))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.problem("exception: %s", text)
	case *log.EventEntryAdded:
		// Failed requests are heard of below.
		if e.Entry.Source != log.EntrySourceNetwork && (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) {
			b.problem("log: %s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		b.requests[e.RequestID] = &request{method: e.Request.Method, url: e.Request.URL}
	case *network.EventResponseReceived:
		if r := b.requests[e.RequestID]; r != nil {
			if r.status = int(e.Response.Status); r.status >= 400 {
				b.problem("request: %s: %d", r, r.status)
			}
		}
	case *network.EventLoadingFinished:
		if r := b.requests[e.RequestID]; r != nil {
			r.received = int(e.EncodedDataLength)
		}
	case *network.EventLoadingFailed:
		if r := b.requests[e.RequestID]; r != nil && !e.Canceled {
			b.problem("request: %s: %s", r, e.ErrorText)
		}
	}
}

// problem notes what is wrong, unless it is allowed. The lock is held.
func (b *tab) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, pattern := range b.allowed {
		if pattern.MatchString(text) {
			return
		}
	}
	b.problems = append(b.problems, text)
}

// allow has problems of a pattern not fail the test from now on.
func (b *tab) allow(pattern string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, regexp.MustCompile(pattern))
}

// takeProblems returns what went wrong so far.
func (b *tab) takeProblems() []string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	// The answer comes after all events before it.
	_, err := chromedp.Run(ctx, chromedp.Evaluate[int]("1"))
	require.NoError(b.t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := b.problems
	b.problems = nil
	return problems
}

// sent returns the requests so far.
func (b *tab) sent() (requests []request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		requests = append(requests, *r)
	}
	return requests
}

// open loads a path of the replica.
func (b *tab) open(path string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, chromedp.Navigate(b.base+path)))
}

// resize makes the window as large as that of a device.
func (b *tab) resize(width, height int, scale float64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(width), Height: int64(height), DeviceScaleFactor: scale, Mobile: width < 600,
	})
}

// prefer sets what the person likes: "light" or "dark".
func (b *tab) prefer(scheme string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// eval runs JavaScript in the page and decodes what it, or its promise, becomes.
func eval[T any](b *tab, script string, args ...any) T {
	b.t.Helper()
	value, err := tryEval[T](b, script, args...)
	require.NoError(b.t, err, "%s", script)
	return value
}

// tryEval is eval for scripts that may fail. In the script, %s stands for an argument, which is written as JSON.
func tryEval[T any](b *tab, script string, args ...any) (value T, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[string]("(async () => JSON.stringify((await ("+fill(script, args...)+")) ?? null))()",
		chromedp.EvalAwaitPromise))
	if err != nil {
		return value, err
	}
	return value, json.Unmarshal([]byte(raw), &value)
}

func fill(script string, args ...any) string {
	if len(args) == 0 {
		return script
	}
	var literals []any
	for _, arg := range args {
		raw, err := json.Marshal(arg)
		if err != nil {
			panic(err)
		}
		literals = append(literals, string(raw))
	}
	return fmt.Sprintf(script, literals...)
}

// wait waits until an expression is true in the page. One that fails, because something is not there yet, is not.
func (b *tab) wait(expression string, args ...any) {
	b.t.Helper()
	script := "Boolean(" + fill(expression, args...) + ")"
	var err error
	for began := time.Now(); time.Since(began) < patience; time.Sleep(look) {
		var is bool
		if is, err = tryEval[bool](b, script); err == nil && is {
			return
		}
	}
	b.t.Fatalf("the page does not come to: %s (%v)\nit shows: %.2000s", fill(expression, args...), err, b.shown())
}

// shown is the text of the page.
func (b *tab) shown() string {
	text, err := tryEval[string](b, "document.body.innerText")
	if err != nil {
		return err.Error()
	}
	return text
}

// by is the selector of a part of the page.
func by(name string) string { return `[data-test="` + name + `"]` }

// text is the text of a part of the page, once it is there.
func (b *tab) text(name string) string {
	b.t.Helper()
	b.wait("document.querySelector(%s)", by(name))
	return eval[string](b, "document.querySelector(%s)?.innerText ?? ''", by(name))
}

// waitText waits until a part of the page, or one of several with that name, shows something.
func (b *tab) waitText(name, part string) {
	b.t.Helper()
	b.wait("[...document.querySelectorAll(%s)].some(e => e.checkVisibility() && e.innerText.includes(%s))", by(name), part)
}

// waitGone waits until a part of the page cannot be seen.
func (b *tab) waitGone(name string) {
	b.t.Helper()
	b.wait("!document.querySelector(%s)?.checkVisibility()", by(name))
}

// shows says whether a part of the page can be seen now.
func (b *tab) shows(name string) bool {
	b.t.Helper()
	return eval[bool](b, "Boolean(document.querySelector(%s)?.checkVisibility())", by(name))
}

// spot is a place in the window.
type spot struct{ X, Y float64 }

// click clicks on a part of the page with the mouse, as soon as a person could: it can be seen, nothing covers it, and it is not
// disabled.
func (b *tab) click(name string) {
	b.t.Helper()
	b.clickOn("document.querySelector(%s)", by(name))
}

// clickOn clicks on the element that an expression leads to.
func (b *tab) clickOn(expression string, args ...any) {
	b.t.Helper()
	script := `(() => {
		const target = ` + fill(expression, args...) + `;
		if (!target || target.disabled || !target.checkVisibility()) return null;
		target.scrollIntoView({block: 'nearest', inline: 'nearest', behavior: 'instant'});
		const box = target.getBoundingClientRect();
		const x = box.left + box.width / 2, y = box.top + box.height / 2;
		const top = document.elementFromPoint(x, y);
		return top && (target === top || target.contains(top) || target.labels && [...target.labels].some(l => l.contains(top))) ? {X: x, Y: y} : null;
	})()`
	var at, before *spot
	var err error
	// It is where it stays.
	for began := time.Now(); before == nil || at == nil || *before != *at; time.Sleep(look) {
		if time.Since(began) > patience {
			b.t.Fatalf("cannot be clicked: %s (%v)\nthe page shows: %.2000s", fill(expression, args...), err, b.shown())
		}
		before = at
		at, err = tryEval[*spot](b, script)
	}
	b.clickAt(*at)
}

// clickAt clicks on a place in the window.
func (b *tab) clickAt(at spot) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at.X, at.Y), chromedp.MouseClickXY(at.X, at.Y)))
}

// fillIn replaces the text of a field.
func (b *tab) fillIn(name, text string) {
	b.t.Helper()
	b.click(name)
	eval[any](b, "document.querySelector(%s).select()", by(name))
	if text == "" {
		b.press("\b")
		return
	}
	call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// choose picks an option of a select element.
func (b *tab) choose(name, value string) {
	b.t.Helper()
	b.wait("[...document.querySelector(%s).options].some(o => o.value === %s)", by(name), value)
	b.set(name, value)
}

// set gives a control a value that is not typed.
func (b *tab) set(name, value string) {
	b.t.Helper()
	b.wait("document.querySelector(%s)?.checkVisibility()", by(name))
	eval[any](b, `(e => { e.value = %s; for (const type of ['input', 'change']) e.dispatchEvent(new Event(type, {bubbles: true})); })(document.querySelector(%s))`,
		value, by(name))
}

// press presses keys as a person does: a key types nothing if the page takes it for something else. Package kb of chromedp names
// those that type nothing.
func (b *tab) press(keys string) {
	b.t.Helper()
	for _, key := range keys {
		var down *input.DispatchKeyEventParams
		for _, event := range kb.Encode(key) {
			switch event.Type {
			case kb.KeyChar:
				down.Type, down.Text = kb.KeyDown, event.Text
				call(b, input.DispatchKeyEvent, *down)
				down = nil
			case kb.KeyUp:
				if down != nil {
					call(b, input.DispatchKeyEvent, *down)
				}
				call(b, input.DispatchKeyEvent, *event)
			default:
				down = event
			}
		}
	}
}

// picture is what the window shows, as PNG.
func (b *tab) picture() []byte {
	b.t.Helper()
	return call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{}).Data
}

// pixels is what the window shows. Nothing of it can be seen through, so both ways to hold it are one.
func (b *tab) pixels() *image.RGBA {
	b.t.Helper()
	img, err := png.Decode(bytes.NewReader(b.picture()))
	require.NoError(b.t, err)
	if straight, is := img.(*image.NRGBA); is {
		return &image.RGBA{Pix: straight.Pix, Stride: straight.Stride, Rect: straight.Rect}
	}
	require.IsType(b.t, &image.RGBA{}, img)
	return img.(*image.RGBA)
}
