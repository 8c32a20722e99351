package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/task"
)

var id = uuid.MustParse("00000000-0000-4000-8000-000000000001")

// serve starts a server, and returns a client of it.
func serve(t *testing.T, c client.Config, answer http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c.URL = server.URL + c.URL
	api, err := client.New(c)
	require.NoError(t, err)
	t.Cleanup(api.Close)
	return api
}

// now and the answers below are as short as they may be.
const (
	now    = `"2026-01-02T03:04:05Z"`
	aTask  = `{"id": "00000000-0000-4000-8000-000000000001", "name": "n", "status": "Running", "created_at": ` + now + `}`
	aBatch = `{"batch_id": "00000000-0000-4000-8000-000000000001", "created_at": ` + now + `, "total_tasks": 1, "status_counts": {"running": 1}}`
	aGraph = `{"tasks": [` + aTask + `], "links": [], "external_links": []}`
	aStop  = `{"batch_id": "00000000-0000-4000-8000-000000000001"}`
	listed = `{"batch_id": "00000000-0000-4000-8000-000000000001", "first_created_at": ` + now + `, "total_tasks": 1, "status_counts": {"running": 1}}`
)

// operation is one call: the request that the contract has for it, and the shortest answer.
type operation struct {
	request string
	status  int
	answer  string
	call    func(context.Context, *client.Client) error
}

var operations = []operation{
	{"POST /task", 201, "[" + aTask + "]", func(ctx context.Context, c *client.Client) error {
		_, err := c.Submit(ctx, []byte("[]"), "key")
		return err
	}},
	{"GET /task/" + id.String(), 200, aTask, func(ctx context.Context, c *client.Client) error { _, err := c.Task(ctx, id); return err }},
	{"DELETE /task/" + id.String(), 200, aTask, func(ctx context.Context, c *client.Client) error { _, err := c.Cancel(ctx, id); return err }},
	{"PATCH /task/pause/" + id.String(), 200, aTask, func(ctx context.Context, c *client.Client) error { _, err := c.Pause(ctx, id); return err }},
	{"PATCH /task/resume/" + id.String(), 200, aTask, func(ctx context.Context, c *client.Client) error { _, err := c.Resume(ctx, id); return err }},
	{"PATCH /task/" + id.String(), 200, aTask, func(ctx context.Context, c *client.Client) error {
		_, err := c.Report(ctx, id, client.Report{Status: task.Success})
		return err
	}},
	{"GET /batch/" + id.String(), 200, aBatch, func(ctx context.Context, c *client.Client) error { _, err := c.Batch(ctx, id); return err }},
	{"GET /dag/" + id.String(), 200, aGraph, func(ctx context.Context, c *client.Client) error { _, err := c.Graph(ctx, id); return err }},
	{"DELETE /batch/" + id.String(), 200, aStop, func(ctx context.Context, c *client.Client) error { _, err := c.Stop(ctx, id); return err }},
	{"GET /task", 200, "[" + aTask + "]", func(ctx context.Context, c *client.Client) error {
		_, err := c.Tasks(ctx, client.Query{})
		return err
	}},
	{"GET /batches", 200, "[" + listed + "]", func(ctx context.Context, c *client.Client) error {
		_, err := c.Batches(ctx, client.Query{})
		return err
	}},
}

// Every call is the request that the contract has for it, below the path of the service's URL.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, o := range operations {
		var got *http.Request
		api := serve(t, client.Config{URL: "/base/", Token: "secret", Agent: "test"}, func(w http.ResponseWriter, r *http.Request) {
			got = r
			w.Header().Set("X-Batch-ID", id.String())
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(o.status)
			_, _ = w.Write([]byte(o.answer))
		})
		require.NoError(t, o.call(t.Context(), api), o.request)
		method, path, _ := strings.Cut(o.request, " ")
		require.Equal(t, method+" /base"+path, got.Method+" "+got.URL.Path)
		require.Equal(t, "Bearer secret", got.Header.Get("Authorization"))
		require.Equal(t, "test", got.Header.Get("User-Agent"))
		if method == http.MethodPost {
			require.Equal(t, "key", got.Header.Get("Idempotency-Key"))
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		}
	}
}

// Where nothing was created there is a batch id, and no body.
func TestNothingCreated(t *testing.T) {
	t.Parallel()
	api := serve(t, client.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Batch-ID", id.String())
		w.WriteHeader(http.StatusNoContent)
	})
	a, err := api.Submit(t.Context(), []byte("[]"), "")
	require.NoError(t, err)
	require.Equal(t, client.Created{BatchID: id}, a.Value)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status            int
		kind, body, extra string
		says              string
		details           []string
	}{
		"ours":       {409, "application/json", `{"error": "no", "status": 409, "current_status": "Success"}`, "", "no (HTTP 409, the task is Success)", nil},
		"ours, said": {409, "application/json", `{"error": "it is Success", "current_status": "Success"}`, "", "it is Success (HTTP 409)", nil},
		"details":    {400, "application/json; charset=utf-8", `{"error": "Validation failed", "details": ["a: b"]}`, "", "Validation failed (HTTP 400)", []string{"a: b"}},
		"a page":     {502, "text/html", "<html>\x1b[2J", "", "answered 502 Bad Gateway, and not as Task Runner does (HTTP 502)", nil},
		"broken":     {500, "application/json", `{"error": `, "", "and not as Task Runner does (HTTP 500)", nil},
		"unknown":    {404, "application/json", `{"error": "unknown task", "status": 404}`, "", "unknown task (HTTP 404)", nil},
		"no text":    {404, "application/json", `{"message": "x"}`, "", "and not as Task Runner does (HTTP 404)", nil},
		"moved":      {301, "text/html", "", "https://evil.example/", "redirects to https://evil.example/; redirects are not followed (HTTP 301)", nil},
	} {
		api := serve(t, client.Config{Token: "secret"}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.Header().Set("Retry-After", "7")
			if c.extra != "" {
				w.Header().Set("Location", c.extra)
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, err := api.Task(t.Context(), id)
		var refused *client.Error
		require.ErrorAs(t, err, &refused, name)
		require.Contains(t, err.Error(), c.says, name)
		require.Equal(t, c.details, refused.Details, name)
		require.Equal(t, c.body, string(refused.Raw), name)
		require.Equal(t, 7*time.Second, refused.RetryAfter, name)
		require.Equal(t, name == "unknown", client.NotFound(err), name)
	}
}

// What is not the answer to the request is an error of its own, whatever it is.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	other := strings.NewReplacer("000000000001", "000000000002", "Running", "Walking", `"running": 1`, `"running": 2`)
	for _, o := range operations {
		for name, c := range map[string]struct {
			status     int
			kind, body string
			batch      string
		}{
			"no body":        {http.StatusNoContent, "", "", ""},
			"another status": {http.StatusAccepted, "application/json", o.answer, id.String()},
			"another kind":   {o.status, "text/html", o.answer, id.String()},
			"no kind":        {o.status, "", o.answer, id.String()},
			"a page":         {o.status, "application/json", "<html>", id.String()},
			"empty":          {o.status, "application/json", "", id.String()},
			"cut":            {o.status, "application/json", o.answer[:len(o.answer)-1], id.String()},
			"more":           {o.status, "application/json", o.answer + "1", id.String()},
			"null":           {o.status, "application/json", "null", id.String()},
			"object":         {o.status, "application/json", "{}", id.String()},
			"row":            {o.status, "application/json", "[{}]", id.String()},
			"about another":  {o.status, "application/json", other.Replace(o.answer), id.String()},
		} {
			api := serve(t, client.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{c.kind}
				if c.batch != "" {
					w.Header().Set("X-Batch-ID", c.batch)
				}
				w.WriteHeader(c.status)
				if c.body != "" {
					_, _ = w.Write([]byte(c.body))
				}
			})
			err := o.call(t.Context(), api)
			var foreign *client.Foreign
			require.ErrorAs(t, err, &foreign, "%s: %s", o.request, name)
			require.ErrorContains(t, err, api.URL()+" is no Task Runner, or one that is not understood: the answer to "+o.request+" ")
		}
	}
	api := serve(t, client.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	_, err := api.Submit(t.Context(), []byte("[]"), "")
	require.ErrorContains(t, err, "has no batch id")
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"broken": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the connection broke"},
		"half": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}, "the connection broke"},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}, "no answer in time"},
	} {
		api := serve(t, client.Config{Timeout: time.Second}, c.answer)
		_, err := api.Task(t.Context(), id)
		var away *client.Unreachable
		require.ErrorAs(t, err, &away, name)
		require.Equal(t, "cannot reach "+api.URL()+": "+c.says, err.Error(), name)
		require.True(t, away.Sent(), name)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	api, err := client.New(client.Config{URL: "http://" + listener.Addr().String()})
	require.NoError(t, err)
	_, err = api.Task(t.Context(), id)
	var away *client.Unreachable
	require.ErrorAs(t, err, &away)
	require.Equal(t, "cannot reach "+api.URL()+": connection refused", err.Error())
	require.False(t, away.Sent())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = api.Task(ctx, id)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, errors.As(err, &away))
}
