// Package webhook calls webhooks: one HTTP call at a time, and what its end means (contract, section 8). Retries,
// leases and results are the business of internal/worker and of the database.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/signature"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
)

// The triggers, spelled as in the header X-Task-Trigger.
const (
	Start  = "start"
	End    = "end"
	Cancel = "cancel"
)

// idleTimeout is short on purpose: many servers close idle connections after 5 s or even 2 s, and a call that meets the
// closing is a lost try.
const idleTimeout = 2 * time.Second

// Config is how calls are made.
type Config struct {
	Timeout          time.Duration     // of a whole call, the answer included
	ConnectTimeout   time.Duration     // of connecting; the smaller of both counts
	MaxResponseBytes int64             // how much of an answer is read
	MaxCalls         int               // at the same time, as far as the caller lets it; bounds the connections kept open
	Version          string            // of this program, for User-Agent
	Signer           *signature.Signer // may be nil: calls are not signed
	Observer         Observer          // may be nil
	Tracer           *tracing.Tracer   // may be nil
	Log              *slog.Logger      // may be nil; each call is worth a line at debug
	// Egress says which addresses may be connected to, unless there is a proxy. nil: public ones.
	Egress   *egress.Policy
	Proxy    *url.URL      // nil: calls are made directly
	Resolver *net.Resolver // nil: net.DefaultResolver
}

// Observer is told what the metrics show. Its methods must not block.
type Observer interface {
	CallStarted(trigger string)
	CallEnded(trigger string, success bool, took time.Duration)
}

// Call is one webhook call to make.
type Call struct {
	Webhook        task.Webhook
	Handle         string // URL by which the target reports about the task
	IdempotencyKey string
	Traceparent    string // of the trace that it belongs to; "" without one
	TaskID         uuid.UUID
	BatchID        *uuid.UUID
	Trigger        string // Start, End or Cancel
	Attempt        int32  // of the task
}

// Result is how a call ended.
type Result struct {
	task.Try
	Class Class
	Body  []byte // of the answer, at most MaxResponseBytes
	Whole bool   // Body is all of the answer
	// Unsent says that there was a connection, and the call itself could not be put on it: a header that HTTP/2 does not permit. This
	// says nothing about the receiver.
	Unsent bool
}

// Client makes calls. Its methods may be called by many goroutines.
type Client struct {
	config  Config
	http    *http.Client
	connect time.Duration // limit of connecting
}

// New makes a client. Close frees its connections.
func New(c Config) *Client {
	connect := min(c.ConnectTimeout, c.Timeout)
	dialer := &egress.Dialer{Policy: cmp.Or(c.Egress, egress.Public()), Timeout: connect, Resolver: c.Resolver}
	dial := dialer.DialContext
	var proxy func(*http.Request) (*url.URL, error) // nil: proxy environment variables are not used
	if c.Proxy != nil {
		// All connections are those to the proxy, which may have an address that calls may not go to.
		dial, proxy = (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext, http.ProxyURL(c.Proxy)
	}
	return &Client{
		config:  c,
		connect: connect,
		http: &http.Client{
			// Redirects are never followed: the answer is the redirect.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: noLocation{&http.Transport{
				Proxy:                  proxy,
				OnProxyConnectResponse: proxyAnswered,
				DialContext:            dial,
				TLSHandshakeTimeout:    connect,
				ForceAttemptHTTP2:      true,
				// A connection that many calls share must not stay when nobody is at its other end: it never becomes idle. And
				// what a server sends beyond what is read is bounded.
				HTTP2:                  &http.HTTP2Config{SendPingTimeout: connect, PingTimeout: connect, MaxReceiveBufferPerStream: 128 << 10},
				DisableCompression:     true, // no header that the contract does not name, no decompression bombs
				MaxIdleConns:           max(c.MaxCalls, 1),
				MaxIdleConnsPerHost:    max(c.MaxCalls, 1),
				IdleConnTimeout:        idleTimeout,
				MaxResponseHeaderBytes: 64 << 10,
			}},
		},
	}
}

// Close closes idle connections. Calls that are open go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do makes the call, once. Everything that can go wrong with it is a result; when ctx ends the call is given up.
func (c *Client) Do(ctx context.Context, call Call) Result {
	if o := c.config.Observer; o != nil {
		o.CallStarted(call.Trigger)
	}
	began := time.Now()
	traced, span := c.config.Tracer.Call(ctx, tracing.Call{
		Traceparent: call.Traceparent, Trigger: call.Trigger, TaskID: call.TaskID, BatchID: call.BatchID, Attempt: call.Attempt,
	})
	r := c.do(traced, call)
	tracing.EndCall(span, r.StatusCode, r.Error)
	r.At, r.Latency = began, time.Since(began)
	c.logCall(traced, call, r)
	if o := c.config.Observer; o != nil {
		o.CallEnded(call.Trigger, r.Class == Delivered, r.Latency)
	}
	return r
}

// logCall logs a call, without what it carried and whom it went to: an error quotes neither.
func (c *Client) logCall(ctx context.Context, call Call, r Result) {
	if c.config.Log == nil || !c.config.Log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attributes := []slog.Attr{
		slog.String("trigger", call.Trigger), slog.String("task_id", call.TaskID.String()), slog.Int("attempt", int(call.Attempt)),
		slog.Duration("took", r.Latency),
	}
	if call.BatchID != nil {
		attributes = append(attributes, slog.String("batch_id", call.BatchID.String()))
	}
	if r.StatusCode != nil {
		attributes = append(attributes, slog.Int("status", int(*r.StatusCode)))
	}
	if r.Error != "" {
		attributes = append(attributes, slog.String("error", r.Error))
	}
	c.config.Log.LogAttrs(ctx, slog.LevelDebug, "webhook called", attributes...)
}

func (c *Client) do(ctx context.Context, call Call) Result {
	timed, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, errTotal)
	defer cancel()
	req, err := c.request(timed, call)
	if err != nil {
		return Result{Class: Permanent, Try: task.Try{Error: "connection failed: " + err.Error()}}
	}
	tracing.Target(timed, req)
	hide := func(said []byte) []byte {
		if len(said) == 0 {
			return nil
		}
		return secretsOf(call, req.URL).hide(said)
	}
	var connected, sent atomic.Bool
	resp, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(timed, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteHeaders: func() { sent.Store(true) },
	})))
	if err != nil {
		r := c.failed(timed, err)
		r.Unsent = connected.Load() && !sent.Load()
		return r
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 { // 101: the body is the connection itself, which no context ends
		return answered(resp, nil, hide, time.Now())
	}
	// The status has come, and with it the outcome: if the rest of the answer fails, what has come of it is kept.
	most := c.config.MaxResponseBytes
	body, readErr := io.ReadAll(io.LimitReader(resp.Body, most+1))
	longer := int64(len(body)) > most
	if longer {
		body = body[:most]
	}
	r := answered(resp, body, hide, time.Now())
	r.Whole = readErr == nil && !longer
	return r
}

var errURL = errors.New("invalid URL")

// methods by verb.
var methods = map[string]string{
	"Get": http.MethodGet, "Post": http.MethodPost, "Delete": http.MethodDelete, "Put": http.MethodPut, "Patch": http.MethodPatch,
}

// request builds the HTTP request. Its errors do not repeat the URL, which may hold secrets.
func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	u, err := egress.Parse(call.Webhook.URL)
	if err != nil {
		return nil, errURL
	}
	// The query that is there stays as it is written.
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "handle=" + url.QueryEscape(call.Handle)

	var body bytes.Buffer
	if raw := call.Webhook.Body; len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
		if err := json.Compact(&body, raw); err != nil {
			return nil, errors.New("the body is no JSON")
		}
	}
	method, ok := methods[call.Webhook.Verb]
	if !ok {
		return nil, errors.New("unknown verb")
	}
	req := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	key := "Idempotency-Key"
	// One try is one call. But on a kept connection that breaks, the transport repeats a request by itself if that looks
	// harmless: a GET, or one with Idempotency-Key, whose body it could read again. None of ours does.
	if body.Len() > 0 || method == http.MethodGet {
		req.ContentLength = int64(body.Len())
		req.Body = onceBody{bytes.NewReader(body.Bytes())}
	} else {
		req.Body = http.NoBody // an own empty body would be sent in chunks
		key = strings.ToLower(key)
	}

	if body.Len() > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if traceparent := tracing.Traceparent(ctx); traceparent != "" {
		req.Header.Set(tracing.Header, traceparent)
	}
	for name, value := range call.Webhook.Headers { // one of these names may be traceparent
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "task-runner/"+c.config.Version)
	req.Header[key] = []string{call.IdempotencyKey}
	req.Header.Set("X-Task-Id", call.TaskID.String())
	req.Header.Set("X-Task-Trigger", call.Trigger)
	req.Header.Set("X-Task-Attempt", strconv.Itoa(int(call.Attempt)))
	if call.BatchID != nil {
		req.Header.Set("X-Batch-Id", call.BatchID.String())
	}
	if c.config.Signer != nil {
		now := time.Now()
		signed, err := c.config.Signer.Sign(call.IdempotencyKey, now, body.Bytes())
		if err != nil {
			return nil, err
		}
		req.Header.Set(signature.HeaderID, call.IdempotencyKey)
		req.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		req.Header.Set(signature.HeaderSignature, signed)
	}
	return req, nil
}

// onceBody is a body that net/http does not recognise as one that it may send again.
type onceBody struct{ io.Reader }

// Close implements io.Closer.
func (onceBody) Close() error { return nil }

// noLocation takes Location out of answers: http.Client parses it before it asks CheckRedirect, and an unreadable one would
// become an error that quotes it, although the answer is the redirect.
type noLocation struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t noLocation) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(req)
	if resp != nil {
		resp.Header.Del("Location")
	}
	return resp, err
}
