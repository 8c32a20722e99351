package webhook_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

// http2 starts a TLS receiver that speaks HTTP/2.
func http2(t *testing.T, handler http.HandlerFunc, opened *atomic.Int32) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.Config.ConnState = connCounter(opened)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// Calls to a receiver that speaks HTTP/2 share one connection, at the same time too, and look as they do in HTTP/1.1.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	const parallel = 8
	var opened, together atomic.Int32
	all := make(chan struct{})
	s := http2(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("receiver: %v", err)
		}
		if r.URL.Path == "/together" {
			if together.Add(1) == parallel {
				close(all)
			}
			<-all
		}
		w.Header().Set("X-Seen", r.Proto+" "+r.Header.Get("Idempotency-Key")+" "+r.Header.Get("Content-Type")+" "+string(body))
		_, _ = io.WriteString(w, w.Header().Get("X-Seen"))
	}, &opened)
	c := client(t)
	c.Trust(s)
	for _, verb := range []string{"Get", "Post", "Delete", "Put", "Patch"} {
		r := c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb}))
		require.Equal(t, webhook.Delivered, r.Class, r.Error)
		require.Equal(t, "HTTP/2.0 key:start  ", r.Response, verb)
		r = c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb, Body: json.RawMessage(`{"a": 1}`)}))
		require.Equal(t, `HTTP/2.0 key:start application/json {"a":1}`, r.Response, verb)
	}
	var work sync.WaitGroup
	for range parallel {
		work.Go(func() {
			if r := c.Do(t.Context(), call(task.Webhook{URL: s.URL + "/together", Verb: "Post"})); r.Class != webhook.Delivered {
				t.Errorf("together: %s", r.Error)
			}
		})
	}
	work.Wait()
	require.EqualValues(t, 1, opened.Load())
}

// A call that cannot be put on a connection is told from a receiver that does not answer, so that whoever makes such calls closes
// nobody's circuit. What is wrong with it is not repeated.
func TestHTTP2Unsent(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := http2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			panic(http.ErrAbortHandler)
		}
	}, &opened)
	c := client(t)
	c.Trust(s)
	w := task.Webhook{URL: s.URL, Verb: "Post", Headers: map[string]string{"Upgrade": "hush"}}
	r := c.Do(t.Context(), call(w))
	require.Equal(t, webhook.Transient, r.Class)
	require.True(t, r.Unsent)
	require.Equal(t, "connection failed: http2: invalid Upgrade request header", r.Error)
	r = c.Do(t.Context(), call(task.Webhook{URL: s.URL + "/away", Verb: "Post"}))
	require.Equal(t, webhook.Transient, r.Class)
	require.False(t, r.Unsent)
	s.Close()
	r = c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: "Post"}))
	require.Equal(t, webhook.Transient, r.Class)
	require.False(t, r.Unsent)
}

// What a receiver sends without end is neither read nor kept, and costs its own call only.
func TestHTTP2EndlessAnswer(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := http2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			return
		}
		for chunk := []byte(strings.Repeat("x", 16<<10)); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, &opened)
	c := client(t)
	c.Trust(s)
	r := c.Do(t.Context(), call(task.Webhook{URL: s.URL + "/endless", Verb: "Get"}))
	require.Equal(t, webhook.Delivered, r.Class, r.Error)
	require.Len(t, r.Body, 64<<10)
	require.False(t, r.Whole)
	require.Equal(t, webhook.Delivered, c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: "Get"})).Class)
}

// A shared connection whose other end is gone without a word is left for a new one, though calls keep it busy.
func TestHTTP2LostConnection(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := http2(t, status(http.StatusOK), &opened)
	proxy, cut := swallowing(t, s.Listener.Addr().String())
	c := client(t, func(c *webhook.Config) { c.Timeout, c.ConnectTimeout = 2*time.Second, 200*time.Millisecond })
	c.Trust(s)
	url := "https://" + proxy
	require.Equal(t, webhook.Delivered, c.Do(t.Context(), call(task.Webhook{URL: url, Verb: "Post"})).Class)
	cut()
	r := c.Do(t.Context(), call(task.Webhook{URL: url, Verb: "Post"}))
	require.Equal(t, webhook.Transient, r.Class)
	r = c.Do(t.Context(), call(task.Webhook{URL: url, Verb: "Post"}))
	require.Equal(t, webhook.Delivered, r.Class, r.Error)
}

// swallowing is a proxy. After cut, what comes on the connections that are open goes nowhere; new ones work.
func swallowing(t *testing.T, target string) (address string, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var epoch atomic.Int32
	var work sync.WaitGroup
	forward := func(to, from net.Conn, born int32) {
		defer to.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if epoch.Load() == born {
				_, _ = to.Write(buffer[:n])
			}
		}
	}
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			born := epoch.Load()
			work.Go(func() { forward(out, in, born) })
			work.Go(func() { forward(in, out, born) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return l.Addr().String(), func() { epoch.Add(1) }
}
