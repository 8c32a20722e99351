package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Class is what a try means (contract, section 8.4).
type Class int

// The classes. On_start is tried again after Transient only, End and Cancel after everything but Delivered and Gone, which
// stands for an address that is refused as well.
const (
	Delivered Class = iota
	Transient
	Permanent
	Gone
)

const (
	maxCause      = 200            // characters of what a <cause> quotes
	maxKept       = 2 << 10        // bytes of an answer that are kept
	maxRetryAfter = 24 * time.Hour // the database bounds it further
)

// errTotal is the cause of the end of a call that took too long.
var errTotal = errors.New("call timeout")

// answered classifies an answer. What is kept of it for the log names no secret of the call.
func answered(resp *http.Response, body []byte, hide func([]byte) []byte, now time.Time) Result {
	code := int32(resp.StatusCode)
	r := Result{Body: body, Class: classify(resp.StatusCode), Try: task.Try{StatusCode: &code, Response: excerpt(hide(body))}}
	if r.Class == Delivered {
		return r
	}
	r.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	r.Error = fmt.Sprintf("HTTP %d", code)
	if code >= 300 && code <= 399 {
		r.Error = fmt.Sprintf("redirect refused (%d)", code)
	}
	return r
}

func classify(code int) Class {
	switch {
	case code >= 200 && code <= 299:
		return Delivered
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code >= 500 && code <= 599:
		return Transient
	case code == http.StatusGone:
		return Gone
	}
	return Permanent
}

// failed classifies a call without an answer. All that can happen to a connection may be better next time.
func (c *Client) failed(ctx context.Context, err error) Result {
	if errors.Is(err, egress.ErrBlocked) {
		return Result{Class: Gone, Try: task.Try{Error: egress.ErrBlocked.Error()}}
	}
	return Result{Class: Transient, Try: task.Try{Error: c.cause(ctx, err)}}
}

// cause is the <cause> of the contract's section 8.5. It never quotes the URL, which holds the handle.
func (c *Client) cause(ctx context.Context, err error) string {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	var (
		dnsErr    *net.DNSError
		opErr     *net.OpError
		netErr    net.Error
		certErr   *tls.CertificateVerificationError
		recordErr tls.RecordHeaderError
		hostErr   x509.HostnameError
		errno     syscall.Errno
	)
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), errTotal):
		return "timeout after " + seconds(c.config.Timeout)
	case ctx.Err() != nil:
		return "connection failed: given up at shutdown"
	case errors.As(err, &dnsErr):
		return "DNS error: " + short(dnsErr.Err)
	case errors.As(err, &certErr):
		return "TLS error: " + short(certErr.Err.Error())
	case errors.As(err, &recordErr):
		return "TLS error: " + short(recordErr.Msg)
	case errors.As(err, &hostErr):
		return "TLS error: " + short(hostErr.Error())
	case errors.Is(err, http.ErrSchemeMismatch):
		return "TLS error: the server speaks plain HTTP"
	case errors.As(err, &opErr) && (opErr.Op == "remote error" || opErr.Op == "local error"): // TLS alerts
		return "TLS error: " + short(opErr.Err.Error())
	case errors.As(err, &netErr) && netErr.Timeout(): // of the dialer or of the handshake
		return "timeout after " + seconds(c.connect)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &errno):
		return "connection failed: " + short(errno.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection failed: closed before an answer"
	}
	// What net/http quotes is what the peer sent, and that may be the URL which it was called by.
	what, _, quoted := strings.Cut(strings.TrimPrefix(err.Error(), "net/http: "), `"`)
	if quoted {
		what = strings.TrimRight(strings.TrimSuffix(what, "debug="), " ,:[")
	}
	if strings.HasPrefix(what, "tls: ") {
		return "TLS error: " + short(strings.TrimPrefix(what, "tls: "))
	}
	return "connection failed: " + short(what)
}

// proxyAnswered makes a proxy's refusal to connect an error that says whose it is.
func proxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy answered HTTP %d", answer.StatusCode)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }

// short makes a text fit to be shown and stored.
func short(text string) string {
	text = clean(text)
	if utf8.RuneCountInString(text) > maxCause {
		text = string([]rune(text)[:maxCause-1]) + "…"
	}
	return text
}

// excerpt keeps the beginning of an answer, without half a character at its end.
func excerpt(body []byte) string {
	if len(body) > maxKept {
		body = body[:maxKept]
		for i := 1; i < utf8.UTFMax && i <= len(body); i++ {
			if last := body[len(body)-i:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					body = body[:len(body)-i]
				}
				break
			}
		}
	}
	return clean(string(body))
}

// clean replaces what PostgreSQL's text cannot hold.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// retryAfter reads the header Retry-After: seconds or a date. 0 when it asks for nothing.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil || errors.Is(err, strconv.ErrRange) { // n is the largest then
		wait = time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
