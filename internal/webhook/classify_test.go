package webhook_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

func connCounter(n *atomic.Int32) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}

// unresolvable is a host longer than a name may be.
var unresolvable = strings.Repeat("a", 64) + "." + strings.Repeat("b.", 120) + "invalid"

func get(url string) webhook.Call { return call(task.Webhook{URL: url, Verb: "Get"}) }

func TestStatusCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]struct {
		class webhook.Class
		cause string
	}{
		200: {webhook.Delivered, ""}, 202: {webhook.Delivered, ""}, 204: {webhook.Delivered, ""}, 299: {webhook.Delivered, ""},
		301: {webhook.Permanent, "redirect refused (301)"}, 304: {webhook.Permanent, "redirect refused (304)"},
		400: {webhook.Permanent, "HTTP 400"}, 404: {webhook.Permanent, "HTTP 404"}, 408: {webhook.Transient, "HTTP 408"},
		409: {webhook.Permanent, "HTTP 409"}, 410: {webhook.Gone, "HTTP 410"}, 425: {webhook.Transient, "HTTP 425"},
		429: {webhook.Transient, "HTTP 429"}, 500: {webhook.Transient, "HTTP 500"}, 503: {webhook.Transient, "HTTP 503"},
		599: {webhook.Transient, "HTTP 599"}, 600: {webhook.Permanent, "HTTP 600"},
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			s, _ := receiver(t, status(code))
			r := client(t).Do(t.Context(), get(s.URL))
			require.Equal(t, want.class, r.Class)
			require.Equal(t, want.cause, r.Error)
			require.EqualValues(t, code, *r.StatusCode)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		value       string
		least, most time.Duration
	}{
		"seconds":     {"7", 7 * time.Second, 7 * time.Second},
		"date":        {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 58 * time.Minute, time.Hour},
		"past date":   {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
		"bounded":     {"18446744073709551615", 24 * time.Hour, 24 * time.Hour},
		"endless":     {"99999999999999999999", 24 * time.Hour, 24 * time.Hour},
		"negative":    {"-1", 0, 0},
		"nonsense":    {"soon", 0, 0},
		"without one": {"", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tc.value)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			r := client(t).Do(t.Context(), get(s.URL))
			require.GreaterOrEqual(t, r.RetryAfter, tc.least)
			require.LessOrEqual(t, r.RetryAfter, tc.most)
		})
	}
}

func TestFailedCalls(t *testing.T) {
	t.Parallel()
	short := func(c *webhook.Config) { c.Timeout, c.ConnectTimeout = 300*time.Millisecond, 200*time.Millisecond }

	t.Run("connection refused", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		r := client(t).Do(t.Context(), get("http://"+l.Addr().String()))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "connection refused", r.Error)
		require.Nil(t, r.StatusCode)
	})
	t.Run("total timeout", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		s, _ := receiver(t, func(http.ResponseWriter, *http.Request) { <-release })
		t.Cleanup(func() { close(release) })
		r := client(t, short).Do(t.Context(), get(s.URL))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "timeout after 0.3s", r.Error)
		require.GreaterOrEqual(t, r.Latency, 300*time.Millisecond)
	})
	t.Run("connect timeout", func(t *testing.T) {
		t.Parallel()
		// The handshake hangs: the server never says anything.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		r := client(t, short).Do(t.Context(), get("https://"+l.Addr().String()))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "timeout after 0.2s", r.Error)
	})
	t.Run("unknown certificate", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewUnstartedServer(status(http.StatusOK))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		r := client(t).Do(t.Context(), get(s.URL))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "TLS error: x509: certificate signed by unknown authority", r.Error)
	})
	t.Run("plain HTTP behind https", func(t *testing.T) {
		t.Parallel()
		s, _ := receiver(t, status(http.StatusOK))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		r := client(t).Do(t.Context(), get(strings.Replace(s.URL, "http:", "https:", 1)))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "TLS error: the server speaks plain HTTP", r.Error)
	})
	t.Run("unknown host", func(t *testing.T) {
		t.Parallel()
		r := client(t).Do(t.Context(), get("http://"+unresolvable))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "DNS error: no such host", r.Error)
	})
	t.Run("bad URL", func(t *testing.T) {
		t.Parallel()
		for _, url := range []string{"http://127.0.0.1:port/", "ftp://h/", "/relative", "http://h:99999/", "http://1.2.3.4.5/"} {
			r := client(t).Do(t.Context(), get(url))
			require.Equal(t, webhook.Permanent, r.Class, url)
			require.Equal(t, "connection failed: invalid URL", r.Error)
		}
	})
	t.Run("given up", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		s, _ := receiver(t, func(http.ResponseWriter, *http.Request) { cancel(); <-release })
		t.Cleanup(func() { close(release) })
		r := client(t).Do(ctx, get(s.URL))
		require.Equal(t, webhook.Transient, r.Class)
		require.Equal(t, "connection failed: given up at shutdown", r.Error)
	})
	t.Run("not HTTP", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9\r\n")
			_ = conn.Close()
		}()
		t.Cleanup(func() { _ = l.Close(); <-served })
		r := client(t).Do(t.Context(), get("http://"+l.Addr().String()))
		require.Equal(t, webhook.Transient, r.Class)
		require.True(t, strings.HasPrefix(r.Error, "connection failed: "), r.Error)
	})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer, response string
		body             int // bytes
	}{
		"kept":             {"hello", "hello", 5},
		"not UTF-8":        {"a\xff\xfeb\x00c", "a\uFFFDb\uFFFDc", 6},
		"first 2 KiB":      {strings.Repeat("x", 3000), strings.Repeat("x", 2048), 3000},
		"no half letters":  {strings.Repeat("x", 2047) + "€", strings.Repeat("x", 2047), 2050},
		"whole last one":   {strings.Repeat("x", 2045) + "€€", strings.Repeat("x", 2045) + "€", 2051},
		"up to the bound":  {strings.Repeat("y", 64<<10), strings.Repeat("y", 2048), 64 << 10},
		"reading is bound": {strings.Repeat("y", 200_000), strings.Repeat("y", 2048), 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tc.answer) })
			r := client(t).Do(t.Context(), get(s.URL))
			require.Equal(t, webhook.Delivered, r.Class)
			require.Equal(t, tc.response, r.Response)
			require.Len(t, r.Body, tc.body)
			require.Equal(t, len(tc.answer) == tc.body, r.Whole)
		})
	}
	t.Run("the status decides though the rest fails", func(t *testing.T) {
		t.Parallel()
		s, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "partial")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		r := client(t).Do(t.Context(), get(s.URL))
		require.Equal(t, webhook.Delivered, r.Class)
		require.Equal(t, "partial", r.Response)
		require.False(t, r.Whole)
	})
}
