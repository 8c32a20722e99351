package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The receiver offers the demo graph under the address that the service knows, works, and stops when it is told to.
func TestReceiverCommand(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		ended <- (&receiverCmd{Port: port, URL: "http://receiver:8086", Speed: 100}).Run(ctx, streams{err: &log})
	}()
	base := "http://127.0.0.1:" + strconv.Itoa(port)
	var graph string
	require.Eventually(t, func() bool {
		resp, err := http.Get(base + "/graph")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		graph = string(body)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, graph, `"http://receiver:8086/start"`)
	resp, err := http.Post(base+"/hook/on_success", "application/json", strings.NewReader(`{"step": "lint"}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	cancel()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), `"msg":"on_success","step":"lint"`)

	code, _, stderr := call("receiver", "--url=http://receiver", "--speed=0")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "taskrunner: --speed must be above 0, not 0\n", stderr)
}
