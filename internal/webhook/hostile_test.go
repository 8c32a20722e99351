package webhook_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

	for _, answer := range []string{"%s and more", "HTTP/1.1 %s", "HTTP/1.1 200 OK\r\n%s", "HTTP/1.1 200 OK\r\n %s", "HTTP/1.1 200 OK\r\n%s: x\r\n(: x",
		"HTTP/1.1 200 OK\r\nContent-Length: %s", "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s", "HTTP/%s 200 OK"} {
		url = raw(t, func(r *http.Request) string { return fmt.Sprintf(answer, r.URL.RawQuery) + "\r\n\r\n" })
		r = client(t).Do(t.Context(), get(url))
		require.Equal(t, webhook.Transient, r.Class, answer)
		require.Contains(t, r.Error, "connection failed: ", answer)
		require.NotContains(t, r.Error, "handle", answer)
		require.NotContains(t, r.Error, "token", answer)
		require.NotRegexp(t, "[:,= ]$", r.Error, answer)
	}
}

// Many servers answer with the request that they got. Whoever reads the log must not find what would let him report for the task, or
// call the receiver.
func TestAnswersWithTheRequest(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := httputil.DumpRequest(r, true)
		assert.NoError(t, err)
		_, _ = w.Write(bytes.Repeat([]byte("."), 2048-bytes.Index(text, []byte("hunter1"))-3)) // it ends in the middle of one
		_, _ = w.Write(text)
		fmt.Fprintln(w, r.URL.Query())
	}))
	t.Cleanup(s.Close)
	hush := []string{"a+b/c", "a%2Bb%2Fc", "hunter"}
	c := get(strings.Replace(s.URL, "://", "://me:hunter1:@", 1) + "/x?API_Key=hunter2a&t%6Fken=hunter%33&;secret=hunter4&plain=seen&key=7&bad%zz=hunter5")
	c.Handle = "http://h/task/1?attempt=1&token=a+b/c.d.e"
	c.Webhook.Headers = map[string]string{"X-Secret": "hunter6", "cookie": "a=hunter7", "X-Plain": "Seen", "Authorization": "Bearer hunter8"}
	full := client(t).Do(t.Context(), c)
	require.Equal(t, webhook.Delivered, full.Class)
	require.Contains(t, string(full.Body), "hunter2a", "who needs the answer has it as it came")
	c.Webhook.Verb = "Post"
	for _, r := range []webhook.Result{full, client(t).Do(t.Context(), c)} {
		for _, secret := range append(hush, base64.StdEncoding.EncodeToString([]byte("me:hunter1:"))) {
			require.NotContains(t, r.Response, secret)
		}
		require.LessOrEqual(t, len(r.Response), 2048)
	}
}

// What an answer shows that is no secret stays.
func TestWhatIsNoSecretIsKept(t *testing.T) {
	t.Parallel()
	url := raw(t, func(r *http.Request) string {
		text := r.URL.RequestURI() + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-Plain")
		return fmt.Sprintf("HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	})
	c := get(url + "/x?key=7&plain=seen&token=hunter2")
	c.Handle = "http://h/task/1?attempt=1&token=handle-token"
	c.Webhook.Headers = map[string]string{"X-Plain": "Seen", "Authorization": "Bearer hunter8"}
	r := client(t).Do(t.Context(), c)
	require.Equal(t, "/x?key=7&plain=seen&token=***&handle=http%3A%2F%2Fh%2Ftask%2F1%3Fattempt%3D1%26token%3D*** *** Seen", r.Response)
}
