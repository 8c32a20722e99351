// Package client calls the HTTP API (contract, section 4) for people and for our own programs. Every method makes one
// request and gives the answer decoded and as it came. What the service answers against a request is an [*Error]; a
// service that does not answer is an [*Unreachable]; one that answers what Task Runner never does is a [*Foreign].
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Config says whom to call, and as who.
type Config struct {
	URL     string        // of the service: http or https, without query; may have a path
	Token   string        // bearer token; empty: none
	Timeout time.Duration // of each request, its answer included; 0: none but the context's
	Agent   string        // User-Agent; may be empty
}

// Client calls one service. It may be used by several goroutines.
type Client struct {
	base  string // without a slash at the end
	token string
	agent string
	http  *http.Client
}

// ErrToken is the error of a token that no header can hold. All other errors of New are about the URL.
var ErrToken = errors.New("the token holds a blank, a line break or a character beyond ASCII")

// New checks the settings; it calls nobody.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("the URL of the service is malformed") // the error would show what it holds
	case u.User != nil:
		return nil, errors.New("the URL of the service must not hold a user or a password")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("the URL of the service must begin with http:// or https:// and name a host, as http://127.0.0.1:8085 does, not %q", c.URL)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of the service must have no query and no fragment")
	case strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, ErrToken
	}
	return &Client{
		base: strings.TrimRight(u.String(), "/"), token: c.Token, agent: c.Agent,
		http: &http.Client{
			Timeout: c.Timeout, Transport: http.DefaultTransport.(*http.Transport).Clone(),
			// A redirect would carry the request, and maybe the token, to somebody who was not named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// URL is that of the service.
func (c *Client) URL() string { return c.base }

// Close gives up connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is what the service answered to a request that it served.
type Answer[T any] struct {
	Value  T
	Raw    []byte // the body as it came
	Header http.Header
}

// Error is what the service answered against a request.
type Error struct {
	Status        int         `json:"-"`
	Message       string      `json:"error"`
	Details       []string    `json:"details"` // "<field path>: <message>" each
	CurrentStatus task.Status `json:"current_status"`

	Raw        []byte        `json:"-"` // the body as it came
	RetryAfter time.Duration `json:"-"` // 0: not said
	foreign    bool          // Task Runner did not write it
}

// Error says it in one line; the details are left to whoever shows them.
func (e *Error) Error() string {
	if status := string(e.CurrentStatus); !strings.Contains(e.Message, status) {
		return fmt.Sprintf("%s (HTTP %d, the task is %s)", e.Message, e.Status, status)
	}
	return fmt.Sprintf("%s (HTTP %d)", e.Message, e.Status)
}

// NotFound reports an error of an unknown task, batch or delivery.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && !e.foreign
}

// Foreign is the error of an answer that claims success and is not what the operation answers.
type Foreign struct {
	URL     string // of the service
	Request string // method and path
	Err     error  // what is wrong with the answer
}

func (e *Foreign) Error() string {
	return fmt.Sprintf("%s is no Task Runner, or one that is not understood: the answer to %s %v", e.URL, e.Request, e.Err)
}

// Unwrap gives what is wrong.
func (e *Foreign) Unwrap() error { return e.Err }

// Unreachable is the error of a request without an answer. Whether it was served is not known.
type Unreachable struct {
	URL string // of the service
	Err error
}

func (e *Unreachable) Error() string { return "cannot reach " + e.URL + ": " + e.cause() }

// Unwrap gives the error of the network.
func (e *Unreachable) Unwrap() error { return e.Err }

// Sent reports whether the request may have reached the service, at least in part.
func (e *Unreachable) Sent() bool {
	var network *net.OpError
	return !errors.As(e.Err, &network) || network.Op != "dial"
}

// Timeout reports that the answer did not come in time.
func (e *Unreachable) Timeout() bool {
	var network net.Error
	return errors.As(e.Err, &network) && network.Timeout()
}

// cause is what is wrong, without the URL, which net/http quotes with the path.
func (e *Unreachable) cause() string {
	err := e.Err
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		if urlErr.Timeout() {
			return "no answer in time"
		}
		err = urlErr.Err
	}
	return connectionCause(err)
}

// Limits of answers. That of POST /task holds all tasks of the largest request, with what the service adds to each.
const (
	maxAnswer = 512 << 20
	maxError  = 8 << 20
)

// request is one call.
type request struct {
	method string
	path   []string // segments
	query  url.Values
	body   []byte // JSON; nil: none
	header http.Header
}

// foreign is the error of an answer that is not the one to this request.
func (c *Client) foreign(r request, err error) error {
	return &Foreign{URL: c.base, Request: r.method + " /" + strings.Join(r.path, "/"), Err: err}
}

// reply is an answer of 2xx as it came.
type reply struct {
	status int
	line   string // the status with its text
	header http.Header
	raw    []byte
}

// call makes a request.
func (c *Client) call(ctx context.Context, r request) (*reply, error) {
	address := c.base
	for _, segment := range r.path {
		address += "/" + url.PathEscape(segment)
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, strings.Join(r.path, "/"), err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Unreachable{URL: c.base, Err: err}
	}
	defer resp.Body.Close()
	limit := int64(maxAnswer)
	if resp.StatusCode/100 != 2 {
		limit = maxError
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &Unreachable{URL: c.base, Err: err}
	case int64(len(raw)) > limit:
		return nil, fmt.Errorf("%s answered with more than %d MiB", c.base, limit>>20)
	case resp.StatusCode/100 != 2:
		return nil, c.refusal(resp, raw)
	}
	return &reply{status: resp.StatusCode, line: resp.Status, header: resp.Header, raw: raw}, nil
}

// isJSON reports whether an answer says that it is JSON.
func isJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}

// decode makes a T of an answer: it must have the status that goes with it, be JSON, and hold what check asks for.
func decode[T any](a *reply, status int, check func(T) error) (value T, err error) {
	if a.status != status {
		return value, fmt.Errorf("has the status %s, not %d", a.line, status)
	}
	if !isJSON(a.header) {
		return value, fmt.Errorf("has the Content-Type %q, not application/json", a.header.Get("Content-Type"))
	}
	if err := json.Unmarshal(a.raw, &value); err != nil {
		return value, fmt.Errorf("cannot be read: %w", err)
	}
	return value, check(value)
}

// refusal makes an error of an answer other than 2xx.
func (c *Client) refusal(resp *http.Response, raw []byte) error {
	e := &Error{}
	if !isJSON(resp.Header) || json.Unmarshal(raw, e) != nil || e.Message == "" {
		e = &Error{foreign: true, Message: fmt.Sprintf("%s answered %s, and not as Task Runner does", c.base, resp.Status)}
		if location := resp.Header.Get("Location"); location != "" && resp.StatusCode/100 == 3 {
			e.Message = fmt.Sprintf("%s redirects to %s; redirects are not followed", c.base, location)
		}
	}
	e.Status, e.Raw, e.RetryAfter = resp.StatusCode, raw, retryAfter(resp.Header)
	return e
}

// retryAfter reads the header of that name, in seconds or as a date.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if n, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// ask makes a request whose answer is 200 and a T that check has nothing against.
func ask[T any](ctx context.Context, c *Client, r request, check func(T) error) (Answer[T], error) {
	got, err := c.call(ctx, r)
	if err != nil {
		return Answer[T]{}, err
	}
	value, err := decode(got, http.StatusOK, check)
	if err != nil {
		return Answer[T]{}, c.foreign(r, err)
	}
	return Answer[T]{Value: value, Raw: got.raw, Header: got.header}, nil
}
