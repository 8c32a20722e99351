package browsertest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// gate is what is between the browser and the replica, and can be shut.
type gate struct {
	server *httptest.Server
	proxy  *httputil.ReverseProxy

	mu        sync.Mutex
	shut      bool // nothing comes through
	noStreams bool // live events do not
}

func newGate(t *testing.T, s *service) *gate {
	t.Helper()
	to, err := url.Parse(s.url)
	require.NoError(t, err)
	g := &gate{}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		FlushInterval: -1,
		Transport:     client.Transport,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	shut, noStreams := g.shut, g.noStreams
	g.mu.Unlock()
	switch {
	case shut:
		panic(http.ErrAbortHandler)
	case noStreams && r.URL.Path == "/view/events":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		g.proxy.ServeHTTP(w, r)
	}
}

// set changes what comes through, and cuts all connections.
func (g *gate) set(shut, noStreams bool) {
	g.mu.Lock()
	g.shut, g.noStreams = shut, noStreams
	g.mu.Unlock()
	g.server.CloseClientConnections()
}

// awaitConnection waits until the page says how it is connected.
func (b *tab) awaitConnection(state string) {
	b.t.Helper()
	b.wait("document.querySelector(%s).dataset.state === %s", by("connection"), state)
}

// Without a stream the page asks again and again, and says so; when streams are to be had, it is live again.
func TestStreamIsCut(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("cut", hooks.task("a", "k", "/hold"), hooks.task("b", "k", "/hold"), hooks.task("c", "k", "/hold"))
	for _, name := range []string{"a", "b", "c"} {
		s.awaitStatus(made.tasks[name].ID, task.Running)
	}
	g := newGate(t, s)
	b := newTab(t, g.server.URL)
	b.openBatch(made, "")
	b.awaitCount(task.Running, 3)
	eval[any](b, "window.untouched = true")
	b.allow(`^request: GET .*/view/events\?batch=.*`)

	g.set(false, true)
	b.awaitConnection("polling")
	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["a"].ID)
	b.awaitShown(made, "a", task.Success)
	b.awaitPainted(task.Success, true)
	b.awaitConnection("polling")

	g.set(false, false)
	b.awaitConnection("live")
	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["b"].ID)
	b.awaitShown(made, "b", task.Success)
	require.True(t, eval[bool](b, "window.untouched"))
}

// The replica dies under the page, and comes back: the page says so both times, and has missed nothing.
func TestReplicaComesBack(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("outage", hooks.task("a", "k", "/hold"), hooks.task("b", "k", "/hold"))
	for _, name := range []string{"a", "b"} {
		s.awaitStatus(made.tasks[name].ID, task.Running)
	}
	g := newGate(t, s)
	b, list := newTab(t, g.server.URL), newTab(t, g.server.URL)
	b.openBatch(made, "")
	b.awaitCount(task.Running, 2)
	list.open("/view")
	list.awaitListed("outage")
	for _, page := range []*tab{b, list} {
		eval[any](page, "window.untouched = true")
		page.allow(`^request: GET .*: net::`)
	}

	g.set(true, false)
	s.stop()
	b.awaitConnection("offline")
	list.awaitConnection("offline")
	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["a"].ID)
	require.Equal(t, 2, eval[int](b, "window.__view.graph.counts()[window.__view.graph.statuses.indexOf('Running')]"), "what is known stays to be seen")

	s.start()
	g.set(false, false)
	b.awaitConnection("live")
	b.awaitShown(made, "a", task.Success)
	list.wait(`document.querySelector('[data-test="batch-row"] .bar').ariaLabel === '1 Success, 1 Running'`)
	list.waitGone("error")
	for _, page := range []*tab{b, list} {
		require.True(t, eval[bool](page, "window.untouched"))
	}
}
