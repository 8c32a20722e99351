package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parrot answers every request with the request, and says it once more when nobody asked.
func parrot(t *testing.T, status string) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &receiver{url: "http://" + l.Addr().String()}
	t.Cleanup(func() {
		_ = l.Close()
		r.work.Wait()
	})
	r.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.work.Go(func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				said, err := httputil.DumpRequest(req, true)
				assert.NoError(t, err)
				_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: "+strconv.Itoa(len(said))+"\r\n\r\n"+string(said)+req.URL.String())
				r.mu.Lock()
				r.calls = append(r.calls, call{path: req.URL.Path})
				r.mu.Unlock()
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				_, _ = io.Copy(io.Discard, conn) // until it is closed
			})
		}
	})
	return r
}

// Receivers answer with the request that they got, or with more than they were asked for. Neither the log, at its most talkative, nor
// the log of the tries says a secret of theirs, or the token by which one could report for the task.
func TestSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	p := startProcess(t, db, "--log-level=debug", "--webhook-backoff-secs=1")
	for _, status := range []string{"404 Not Found", "500 Internal Server Error", "200 OK"} {
		receiver := parrot(t, status)
		hook := receiver.hook("/x?api_key=hunter2a")
		params := hook["params"].(map[string]any)
		params["url"] = strings.Replace(params["url"].(string), "://", "://me:hunter2b@", 1)
		params["headers"] = map[string]any{"Authorization": "Bearer hunter2c", "X-Secret": "hunter2d"}
		id := p.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hook, "on_failure": []any{hook}, "on_cancel": []any{hook}})["a"].ID
		if status == "200 OK" {
			p.await(t, id, "Running")
			require.Equal(t, http.StatusOK, do(t, http.MethodDelete, p.url+"/task/"+id.String(), nil, nil))
		}
		require.Eventually(t, func() bool { return len(receiver.got("/x")) >= 2 }, patience, 10*time.Millisecond, status)
		var said json.RawMessage
		require.Eventually(t, func() bool {
			require.Equal(t, http.StatusOK, do(t, http.MethodGet, p.url+"/task/"+id.String()+"/deliveries", nil, &said))
			return strings.Count(string(said), "Idempotency-Key") >= 2
		}, patience, 10*time.Millisecond, "what else it says is kept")
		require.NotContains(t, string(said), "hunter2")
		require.Contains(t, string(said), "token%3D***")
		require.NotContains(t, string(said), "bWU6aHVudGVy", "me:hunter…")
	}
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(p.log(), "\n"), "Unsolicited response received")
	}, patience, 10*time.Millisecond)
	for _, line := range p.log() {
		require.True(t, json.Valid([]byte(line)), line)
		require.NotContains(t, line, "hunter2")
		require.NotContains(t, line, "token")
		require.NotContains(t, line, "handle")
	}
}
