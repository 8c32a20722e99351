package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
)

// FuzzConnection: the bytes on a connection. Whatever they are, the server answers or closes it, and blames nobody but
// the client.
func FuzzConnection(f *testing.F) {
	z := newFuzzer(f)
	server := httptest.NewUnstartedServer(z.handler)
	server.Config = api.Server(z.handler, slog.New(slog.DiscardHandler))
	server.Listener = api.Listener(server.Listener, 1000, slog.New(slog.DiscardHandler))
	server.Start()
	f.Cleanup(server.Close)
	id := z.running(f).ID.String()
	for _, c := range rawRequests(id) {
		if len(c.request) < 10_000 {
			f.Add([]byte(c.request))
		}
	}
	f.Add([]byte("PUT /task/" + id + "?attempt=1&token=x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"new_success\": 1}"))
	f.Add([]byte("GET /batches HTTP/1.1\r\nHost: h\r\nX-Request-Id: x\r\nAuthorization: Bearer x\r\n\r\nHEAD /health HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Add([]byte("POST /task HTTP/1.1\r\nHost: h\r\nContent-Type: a/b+json\r\nIdempotency-Key: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(fuzzPatience)))
		_, _ = c.Write(sent) // it may be refused before all is sent
		_ = c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%q\ngives no end, after %q", sent, got)
		}
		for len(got) > 0 {
			reader := bufio.NewReader(bytes.NewReader(got))
			resp, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%q\ngives %q: %v", sent, got, err)
			}
			if resp.StatusCode >= 500 {
				t.Fatalf("%q\ngives %q", sent, got)
			}
			_ = resp.Body.Close()
			if resp.StatusCode >= 400 {
				require.Equal(t, "application/json", resp.Header.Get("Content-Type"), "%q\ngives %q", sent, got)
			}
			next := bytes.Index(got[1:], []byte("HTTP/1.1 ")) // the body of an answer to HEAD is not there to be read over
			if next < 0 {
				break
			}
			got = got[1+next:]
		}
	})
}
