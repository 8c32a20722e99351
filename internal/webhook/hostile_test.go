package webhook_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/webhook"
)

// raw answers every request with what answer makes of it, byte for byte, and keeps the connection open until the test
// ends.
func raw(t *testing.T, answer func(*http.Request) string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go func() {
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = conn.Write([]byte(answer(r)))
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// After 101 the body is the connection itself, which no context ends: it is not read.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	url := raw(t, func(*http.Request) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
	})
	began := time.Now()
	r := client(t).Do(t.Context(), get(url))
	require.Less(t, time.Since(began), 5*time.Second, "before the timeout")
	require.Equal(t, webhook.Permanent, r.Class)
	require.Equal(t, "HTTP 101", r.Error)
}

// A redirect is one whatever it points to, and what the peer sends never stands in a cause: it may be the URL with the
// handle, which the peer knows.
func TestPeersAreNotQuoted(t *testing.T) {
	t.Parallel()
	url := raw(t, func(r *http.Request) string {
		return "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://x/%zz?" + r.URL.RawQuery + "\r\n\r\n"
	})
	r := client(t).Do(t.Context(), get(url))
	require.Equal(t, webhook.Permanent, r.Class)
	require.Equal(t, "redirect refused (302)", r.Error)

	url = raw(t, func(r *http.Request) string { return r.URL.RawQuery + " and more\r\n\r\n" })
	r = client(t).Do(t.Context(), get(url))
	require.Equal(t, webhook.Transient, r.Class)
	require.Contains(t, r.Error, "connection failed: ")
	require.NotContains(t, r.Error, "handle")
	require.NotContains(t, r.Error, "token")
}
