package api

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/taskrunner/taskrunner/internal/requestid"
)

// Listener gives the one shape of errors to what net/http answers by itself, in plain text or without a body, when it
// cannot make a request of what it read: such answers never come to a handler. They are told from ours by their first
// bytes; nothing else that is written on a connection begins like them.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct{ net.Conn }

// Parts of the answers of net/http; a test sends each kind of request that gets one.
var (
	answerBegins = []byte("HTTP/1.")
	plainHeader  = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	expectation  = []byte("417 ")
)

// Write sends an answer of a handler as it is, and one of net/http, which comes in one piece, in our shape.
func (c conn) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(b, answerBegins) {
		return c.Conn.Write(b)
	}
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	_, text, _ := bytes.Cut(line, []byte(" ")) // "400 Bad Request: missing required Host header"
	if !bytes.HasPrefix(b[len(line):], plainHeader) && !bytes.HasPrefix(text, expectation) {
		return c.Conn.Write(b)
	}
	status, err := strconv.Atoi(string(text[:min(3, len(text))]))
	if err != nil || status >= http.StatusInternalServerError {
		status = http.StatusBadRequest // 501 and 505 blame the server for what the client sent
	}
	if _, err := c.Conn.Write(plainAnswer(status, string(text))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// plainAnswer is a whole answer, after which the connection is closed.
func plainAnswer(status int, text string) []byte {
	id := requestid.New()
	body, err := encode(problem{Status: status, Message: "the request was not understood: " + text, RequestID: id})
	if err != nil { // no field of a problem can fail to be encoded
		panic(err)
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s: %s\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat), requestid.Header, id, len(body), body)
}

// CloseWrite ends what is sent, so that net/http can let a client read the answer before the connection is gone.
func (c conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
