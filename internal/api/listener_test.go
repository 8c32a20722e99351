package api_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
)

// Connections that say nothing are open until there are too many; then who comes is turned away, and the others are served on.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	const most = 3
	var log syncBuffer
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	server.Listener = api.Listener(server.Listener, most, slog.New(slog.NewTextHandler(&log, nil)))
	server.Start()
	defer server.Close()
	b := &testBundle{server: server}
	var open []connection
	for range most {
		open = append(open, b.connect(t))
	}
	for range 20 {
		raw, err := io.ReadAll(b.connect(t)) // without a word from the client
		require.NoError(t, err)
		require.Contains(t, string(raw), "HTTP/1.1 503 Service Unavailable\r\n")
		require.Contains(t, string(raw), "\r\nRetry-After: 1\r\n")
		require.Contains(t, string(raw), `{"error":"too many connections are open","status":503,`)
	}
	for _, c := range open {
		c.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		require.Equal(t, http.StatusNoContent, c.answer(t, http.MethodGet).Status)
	}
	require.NoError(t, open[0].Close())
	require.Eventually(t, func() bool { // its place is free
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		raw, _ := io.ReadAll(c) // fails where the answer came before the question
		return bytes.HasPrefix(raw, []byte("HTTP/1.1 204 "))
	}, patience, 10*time.Millisecond)
	require.Contains(t, log.String(), "connections are turned away")
	require.Less(t, strings.Count(log.String(), "\n"), 20, "not one line each")
}
