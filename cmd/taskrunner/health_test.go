package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthFollowsTheStatus(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/health", r.URL.Path)
		w.WriteHeader(status)
	}))
	c := healthCmd{Port: server.Listener.Addr().(*net.TCPAddr).Port}
	require.NoError(t, c.Run(t.Context()))
	status = http.StatusServiceUnavailable
	require.ErrorContains(t, c.Run(t.Context()), "503")
	server.Close()
	require.Error(t, c.Run(t.Context()), "nobody listens")
}
