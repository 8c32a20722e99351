package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskrunner/taskrunner/internal/requestid"
)

// Listener gives the one shape of errors to what net/http answers by itself, in plain text or without a body, when it
// cannot make a request of what it read: such answers never come to a handler. They are told from ours by their first
// bytes; nothing else that is written on a connection begins like them.
//
// It also bounds how many connections are open: nobody has to say who he is to open one, and each takes memory and a file of those
// that the database and webhooks need too. Whoever comes when there are so many is turned away at once.
func Listener(l net.Listener, most int, log *slog.Logger) net.Listener {
	return &listener{Listener: l, most: int64(most), log: log.With("component", "http")}
}

type listener struct {
	net.Listener
	most int64
	open atomic.Int64
	log  *slog.Logger

	turnedAway int       // since the last line in the log; of the one goroutine that accepts
	logged     time.Time //
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &conn{Conn: c, free: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		l.turnAway(c)
	}
}

// turnAway answers before anything was read. The answer fits what the kernel takes in for a new connection.
func (l *listener) turnAway(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Write(plainAnswer(http.StatusServiceUnavailable, "too many connections are open", "Retry-After: 1\r\n"))
	_ = c.Close() // the client will see one or the other
	l.turnedAway++
	if now := time.Now(); now.Sub(l.logged) >= time.Second {
		l.log.Warn("connections are turned away", "open", l.most, "turned_away", l.turnedAway)
		l.logged, l.turnedAway = now, 0
	}
}

type conn struct {
	net.Conn
	free func() // gives its place to another one
}

// Close closes it.
func (c *conn) Close() error {
	c.free()
	return c.Conn.Close()
}

// Parts of the answers of net/http; a test sends each kind of request that gets one.
var (
	answerBegins = []byte("HTTP/1.")
	plainHeader  = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	expectation  = []byte("417 ")
)

// Write sends an answer of a handler as it is, and one of net/http, which comes in one piece, in our shape.
func (c *conn) Write(b []byte) (int, error) {
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
	if _, err := c.Conn.Write(plainAnswer(status, "the request was not understood: "+string(text), "")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// plainAnswer is a whole answer, after which the connection is closed. headers are further lines of its header.
func plainAnswer(status int, text, headers string) []byte {
	id := requestid.New()
	body, err := encode(problem{Status: status, Message: text, RequestID: id})
	if err != nil { // no field of a problem can fail to be encoded
		panic(err)
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s: %s\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"+
		"%sContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat), requestid.Header, id, headers, len(body), body)
}

// CloseWrite ends what is sent, so that net/http can let a client read the answer before the connection is gone.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
