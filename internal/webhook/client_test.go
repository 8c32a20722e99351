package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/signature"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received is a request as a receiver saw it.
type received struct {
	method, query, body string
	header              http.Header
	length              int64
}

// receiver answers every request by answer and passes it on.
func receiver(t *testing.T, answer http.HandlerFunc) (*httptest.Server, chan received) {
	t.Helper()
	requests := make(chan received, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("receiver: %v", err)
		}
		requests <- received{r.Method, r.URL.RawQuery, string(body), r.Header, r.ContentLength}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s, requests
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func client(t *testing.T, change ...func(*webhook.Config)) *webhook.Client {
	t.Helper()
	local, err := egress.New(egress.Options{Allow: []string{"127.0.0.0/8", "::1"}})
	require.NoError(t, err)
	c := webhook.Config{
		Timeout: 10 * time.Second, ConnectTimeout: 5 * time.Second, MaxResponseBytes: 64 << 10, MaxCalls: 4, Version: "1.2.3", Egress: local,
	}
	for _, f := range change {
		f(&c)
	}
	client := webhook.New(c)
	t.Cleanup(client.Close)
	return client
}

func call(w task.Webhook) webhook.Call {
	return webhook.Call{Webhook: w, Handle: "http://h/task/1?attempt=1&token=a+b/c", IdempotencyKey: "key:start", TaskID: uuid.New(),
		Trigger: webhook.Start, Attempt: 1}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	s, requests := receiver(t, status(http.StatusOK))
	batch := uuid.New()
	c := call(task.Webhook{URL: s.URL + "/jobs?b=%41&a=1#fragment", Verb: "Put", Body: json.RawMessage(`{"b": 1.50, "a": "<&>"}`),
		Headers: map[string]string{"authorization": "Bearer x", "X-Custom": "ü"}})
	c.BatchID, c.Attempt, c.Trigger = &batch, 3, webhook.Cancel
	r := client(t).Do(t.Context(), c)
	require.Equal(t, webhook.Delivered, r.Class)
	require.Empty(t, r.Error)
	require.EqualValues(t, 200, *r.StatusCode)

	got := <-requests
	require.Equal(t, http.MethodPut, got.method)
	require.Equal(t, `{"b":1.50,"a":"<&>"}`, got.body)
	require.Equal(t, "b=%41&a=1&handle="+url.QueryEscape(c.Handle), got.query)
	values, err := url.ParseQuery(got.query)
	require.NoError(t, err)
	require.Equal(t, c.Handle, values.Get("handle"))
	want := http.Header{
		"Content-Type": {"application/json"}, "Content-Length": {"20"}, "User-Agent": {"task-runner/1.2.3"},
		"Idempotency-Key": {"key:start"}, "X-Task-Id": {c.TaskID.String()}, "X-Task-Trigger": {"cancel"}, "X-Task-Attempt": {"3"},
		"X-Batch-Id": {batch.String()}, "Authorization": {"Bearer x"}, "X-Custom": {"ü"},
	}
	require.Equal(t, want, got.header) // and nothing else
}

func TestRequestWithoutBody(t *testing.T) {
	t.Parallel()
	s, requests := receiver(t, status(http.StatusNoContent))
	for _, verb := range []string{"Get", "Post", "Delete", "Put", "Patch"} {
		for _, body := range []string{"", "null"} {
			r := client(t).Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb, Body: json.RawMessage(body)}))
			require.Equal(t, webhook.Delivered, r.Class, verb)
			got := <-requests
			require.Equal(t, strings.ToUpper(verb), got.method)
			require.Empty(t, got.body)
			require.Zero(t, got.length, verb)
			require.NotContains(t, got.header, "Content-Type")
			require.NotContains(t, got.header, "Transfer-Encoding")
			require.NotContains(t, got.header, "X-Batch-Id")
			require.Equal(t, "handle="+url.QueryEscape("http://h/task/1?attempt=1&token=a+b/c"), got.query)
		}
	}
}

func TestBodyAndContentTypeForAnyVerb(t *testing.T) {
	t.Parallel()
	s, requests := receiver(t, status(http.StatusOK))
	r := client(t).Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: "Get", Body: json.RawMessage(`[1]`),
		Headers: map[string]string{"content-type": "text/plain"}}))
	require.Equal(t, webhook.Delivered, r.Class)
	got := <-requests
	require.Equal(t, "[1]", got.body)
	require.Equal(t, []string{"text/plain"}, got.header["Content-Type"])
}

// What the official library of a receiver says to signed calls: with either secret, whatever the body, and not to another
// body. The moment of the signature is that of the try.
func TestSignedCalls(t *testing.T) {
	t.Parallel()
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + strings.Repeat("A", 43) + "="}
	signer, err := signature.New(secrets)
	require.NoError(t, err)
	s, requests := receiver(t, status(http.StatusOK))
	c := client(t, func(c *webhook.Config) { c.Signer = signer })
	for _, verb := range []string{"Get", "Post", "Delete"} {
		for _, body := range []string{"", `{ "a": [1.50, "ü"] }`} {
			before := time.Now().Unix()
			r := c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb, Body: json.RawMessage(body)}))
			require.Equal(t, webhook.Delivered, r.Class, r.Error)
			got := <-requests
			require.Equal(t, "key:start", got.header.Get("webhook-id"))
			require.Equal(t, "key:start", got.header.Get("Idempotency-Key"))
			at, err := strconv.ParseInt(got.header.Get("webhook-timestamp"), 10, 64)
			require.NoError(t, err)
			require.True(t, before <= at && at <= time.Now().Unix())
			for _, secret := range secrets {
				verifier, err := standardwebhooks.NewWebhook(secret)
				require.NoError(t, err)
				require.NoError(t, verifier.Verify([]byte(got.body), got.header), "%s %q", verb, body)
				require.Error(t, verifier.Verify([]byte(got.body+" "), got.header))
			}
		}
	}
	// Without secrets there is nothing of it: TestRequest.
}

func TestProxyEnvironmentIsNotUsed(t *testing.T) {
	proxy, proxied := receiver(t, status(http.StatusOK))
	t.Setenv("HTTP_PROXY", proxy.URL)
	// A proxy would take the name as it is; the resolver refuses it, because it is too long, without asking anybody.
	r := client(t).Do(t.Context(), call(task.Webhook{URL: "http://" + unresolvable, Verb: "Get"}))
	require.Equal(t, "DNS error: no such host", r.Error)
	require.Empty(t, proxied)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	s, requests := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	r := client(t).Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: "Post", Body: json.RawMessage(`{}`)}))
	require.Equal(t, webhook.Permanent, r.Class)
	require.Equal(t, "redirect refused (302)", r.Error)
	require.Len(t, requests, 1)
}

// A connection that breaks before the answer must not make net/http send the request again by itself, which it would do
// on a kept connection because of Idempotency-Key.
func TestOneTryIsOneCall(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	s, requests := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
	})
	for _, verb := range []string{"Get", "Post"} {
		for _, body := range []string{"", `{"a":1}`} {
			c := client(t)
			broken.Store(false)
			r := c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb, Body: json.RawMessage(body)}))
			require.Equal(t, webhook.Delivered, r.Class)
			<-requests
			broken.Store(true)
			r = c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb, Body: json.RawMessage(body)}))
			require.Equal(t, webhook.Transient, r.Class)
			require.Equal(t, "connection failed: closed before an answer", r.Error)
			<-requests
			require.Empty(t, requests, "%s %s was sent again", verb, body)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(status(http.StatusOK))
	var opened atomic.Int32
	s.Config.ConnState = connCounter(&opened)
	s.Start()
	t.Cleanup(s.Close)
	c := client(t)
	for range 10 {
		r := c.Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: "Post", Body: json.RawMessage(`{}`)}))
		require.Equal(t, webhook.Delivered, r.Class)
	}
	require.EqualValues(t, 1, opened.Load())
}

// calls counts what the client reports.
type calls struct{ started, succeeded, failed atomic.Int32 }

func (c *calls) CallStarted(string) { c.started.Add(1) }
func (c *calls) CallEnded(_ string, success bool, took time.Duration) {
	if took <= 0 {
		panic("no duration")
	}
	if success {
		c.succeeded.Add(1)
	} else {
		c.failed.Add(1)
	}
}

func TestObserver(t *testing.T) {
	t.Parallel()
	s, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	var o calls
	c := client(t, func(c *webhook.Config) { c.Observer = &o })
	before := time.Now()
	for _, path := range []string{"/", "/", "/bad"} {
		r := c.Do(t.Context(), call(task.Webhook{URL: s.URL + path, Verb: "Get"}))
		require.False(t, r.At.Before(before))
		require.Positive(t, r.Latency)
	}
	require.EqualValues(t, 3, o.started.Load())
	require.EqualValues(t, 2, o.succeeded.Load())
	require.EqualValues(t, 1, o.failed.Load())
}
