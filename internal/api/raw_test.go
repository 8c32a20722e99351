package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// connection is a connection on which a test sends what it likes.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func (b *testBundle) connect(t *testing.T) connection {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return connection{c, bufio.NewReader(c)}
}

func (c connection) send(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

// answer reads one answer to a request of the method.
func (c connection) answer(t *testing.T, method string) answer {
	t.Helper()
	resp, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// closeWrite says that nothing more is sent.
func (c connection) closeWrite(t *testing.T) {
	t.Helper()
	err := c.Conn.(*net.TCPConn).CloseWrite()
	if !errors.Is(err, syscall.ENOTCONN) { // the server was quicker
		require.NoError(t, err)
	}
}

// ends requires that the server closes the connection and sends nothing more.
func (c connection) ends(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(c.reader)
	require.NoError(t, err)
	require.Empty(t, string(rest))
}

const chunkedPatch = "PATCH /task/%s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

// rawRequest is what no client library sends, and the status of the answer.
type rawRequest struct {
	request string
	status  int
}

// rawRequests are about a task that does not exist.
func rawRequests(id string) map[string]rawRequest {
	return map[string]rawRequest{
		// Answers of net/http.
		"not HTTP":                  {"hello\r\n\r\n", 400},
		"TLS":                       {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", 400},
		"no version":                {"GET /health\r\n\r\n", 400},
		"HTTP/3.0":                  {"GET /health HTTP/3.0\r\nHost: h\r\n\r\n", 400},
		"HTTP/0.9":                  {"GET /health HTTP/0.9\r\n\r\n", 400},
		"space in the target":       {"GET /he alth HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"bad method":                {"G@T /health HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"control character":         {"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"bad escape in the path":    {"GET /task/%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"cut escape in the path":    {"GET /task/% HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"no leading slash":          {"GET task HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"no host":                   {"GET /health HTTP/1.1\r\n\r\n", 400},
		"two hosts":                 {"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"bad host":                  {"GET /health HTTP/1.1\r\nHost: a/b<c\r\n\r\n", 400},
		"bad header name":           {"GET /health HTTP/1.1\r\nHost: h\r\nA b: c\r\n\r\n", 400},
		"header without colon":      {"GET /health HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400},
		"NUL in a header":           {"GET /health HTTP/1.1\r\nHost: h\r\nA: \x00\r\n\r\n", 400},
		"folded header":             {"GET /health HTTP/1.1\r\n folded: x\r\nHost: h\r\n\r\n", 400},
		"bad length":                {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400},
		"negative length":           {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
		"two lengths":               {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400},
		"length beyond all numbers": {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		"unknown transfer coding":   {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
		"two transfer codings":      {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		"large header":              {"GET /health HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", 431},
		"long target":               {"GET /health?" + strings.Repeat("x", 300<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},
		"expectation":               {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nExpect: a miracle\r\nContent-Length: 2\r\n\r\n{}", 417},
		"expectation in HTTP/1.0":   {"GET /health HTTP/1.0\r\nExpect: a miracle\r\n\r\n", 417},
		// Answers of ours.
		"HTTP/2 preface":              {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404},
		"OPTIONS *":                   {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"GET *":                       {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"CONNECT":                     {"CONNECT example.com:80 HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"CONNECT to a path":           {"CONNECT /task HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		"absolute form":               {"GET http://other/task/" + id + " HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"absolute form, no such path": {"GET http://other/task/x/../y HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"absolute form, no path":      {"GET http://other HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"NUL":                         {"GET /task/%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"slash":                       {"GET /task/%2F HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"slash within":                {"GET /task/a%2Fb HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"two slashes":                 {"GET //health HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"dots":                        {"GET /task/../health HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"escaped dots":                {"GET /task/%2e%2e/health HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"backslash":                   {"GET /task\\" + id + " HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		"fragment":                    {"GET /task/" + id + "#x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"semicolon":                   {"GET /task/" + id + "?a=1;b=2 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"bad escape in the query":     {"GET /task/" + id + "?a=%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"bytes in the path":           {"GET /task/\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"HTTP/1.0":                    {"GET /task/" + id + " HTTP/1.0\r\n\r\n", 404},
		"lower-case method":           {"get /health HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		"upgrade":                     {"GET /task/" + id + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 404},
		"no body":                     {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\r\n", 400},
		"bad chunk":                   {fmt.Sprintf(chunkedPatch, id) + "zz\r\n{}\r\n0\r\n\r\n", 400},
		"huge chunk":                  {fmt.Sprintf(chunkedPatch, id) + "fffffffffffffffff\r\n{}\r\n0\r\n\r\n", 400},
		"chunked and length":          {strings.Replace(fmt.Sprintf(chunkedPatch, id), "Host: h", "Host: h\r\nContent-Length: 99", 1) + "2\r\n{}\r\n0\r\n\r\n", 404},
		"chunked":                     {fmt.Sprintf(chunkedPatch, id) + "1;ext=1\r\n{\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n", 404},
		"body ends early":             {"PUT /task/" + id + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{}", 400},
	}
}

// Each of them gets an error in the one shape, and none is the server's fault.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range rawRequests(uuid.NewString()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := b.connect(t)
			// A request that is refused while it is sent may fail to be sent.
			_, _ = io.WriteString(conn, c.request)
			if strings.Contains(c.request, "Content-Length: 99\r\n\r\n") {
				conn.closeWrite(t)
			}
			conn.answer(t, http.MethodGet).failure(t, c.status)
			conn.closeWrite(t)
			conn.ends(t)
		})
	}
}

// HEAD has no body, whatever the answer is.
func TestRawHead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/health", "/task/" + uuid.NewString(), "/task/x", "/none", "/metrics"} {
		conn := b.connect(t)
		conn.send(t, "HEAD "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		a := conn.answer(t, http.MethodHead)
		require.NotEmpty(t, a.Header.Get("X-Request-Id"))
		conn.ends(t)
	}
}

// A client that waits for leave to send its body gets it when the request is all right so far, and else the answer.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const rest = " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 18\r\n"
	conn := b.connect(t)
	conn.send(t, "PUT /task/"+b.running(t).String()+rest+"Content-Type: application/json\r\n\r\n")
	line, err := conn.reader.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = conn.reader.ReadString('\n')
	require.NoError(t, err)
	conn.send(t, `{"new_success": 1}`)
	require.Equal(t, http.StatusAccepted, conn.answer(t, http.MethodPut).Status)

	for request, status := range map[string]int{
		"PUT /task/x" + rest + "Content-Type: application/json\r\n\r\n":                                               400,
		"PUT /task/" + uuid.NewString() + "?token=x" + rest + "Content-Type: application/json\r\n\r\n":                401,
		"PUT /task/" + uuid.NewString() + rest + "\r\n":                                                               415,
		"PUT /task/" + uuid.NewString() + strings.Replace(rest, "18", "99999999", 1) + "Content-Type: a/json\r\n\r\n": 413,
		"DELETE /task/" + uuid.NewString() + rest + "\r\n":                                                            404,
	} {
		conn := b.connect(t)
		conn.send(t, request)
		conn.answer(t, http.MethodPut).failure(t, status)
		conn.ends(t)
	}
}

// Endpoints that need no body take none: it is neither read nor in the way of the next request, and one that does not
// come is not waited for.
func TestBodiesThatNobodyReads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t).String()
	for _, request := range []string{"GET /task/" + id, "GET /health", "PATCH /task/pause/" + id, "PATCH /task/resume/" + id, "DELETE /task/" + id} {
		method, _, _ := strings.Cut(request, " ")
		conn := b.connect(t)
		conn.send(t, request+" HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot { \x00 \xff")
		require.Equal(t, http.StatusOK, conn.answer(t, method).Status, request)
		conn.send(t, "GET /ready HTTP/1.1\r\nHost: h\r\n\r\n") // on the same connection
		require.Equal(t, http.StatusOK, conn.answer(t, http.MethodGet).Status)
		conn.send(t, "GET /ready HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		require.Equal(t, http.StatusOK, conn.answer(t, http.MethodGet).Status)
	}
	conn := b.connect(t)
	conn.send(t, "GET /ready HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n") // and no byte of it
	require.Equal(t, http.StatusOK, conn.answer(t, http.MethodGet).Status)
	conn.ends(t)
	b.db.AssertInvariants(t)
}

// Requests that are sent before the answer to the one before are answered in order.
func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.connect(t)
	conn.send(t, "GET /health HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\nGET /ready HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n")
	for _, status := range []int{200, 404, 200, 400} {
		require.Equal(t, status, conn.answer(t, http.MethodGet).Status)
	}
	conn.ends(t)
}
