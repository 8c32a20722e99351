package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
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

// Every call is the request that the contract has for it, below the path of the service's URL.
func TestRequests(t *testing.T) {
	t.Parallel()
	var got *http.Request
	api := serve(t, client.Config{URL: "/base/", Token: "secret", Agent: "test"}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("X-Batch-ID", id.String())
		w.WriteHeader(http.StatusNoContent)
	})
	for request, call := range map[string]func() error{
		"POST /base/task": func() error {
			a, err := api.Submit(t.Context(), []byte("[]"), "key")
			require.Equal(t, client.Created{BatchID: id}, a.Value)
			require.Equal(t, "key", got.Header.Get("Idempotency-Key"))
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			return err
		},
		"GET /base/task/":          func() error { _, err := api.Task(t.Context(), id); return err },
		"DELETE /base/task/":       func() error { _, err := api.Cancel(t.Context(), id); return err },
		"PATCH /base/task/pause/":  func() error { _, err := api.Pause(t.Context(), id); return err },
		"PATCH /base/task/resume/": func() error { _, err := api.Resume(t.Context(), id); return err },
		"PATCH /base/task/":        func() error { _, err := api.Report(t.Context(), id, client.Report{Status: task.Success}); return err },
		"GET /base/batch/":         func() error { _, err := api.Batch(t.Context(), id); return err },
		"GET /base/dag/":           func() error { _, err := api.Graph(t.Context(), id); return err },
		"DELETE /base/batch/":      func() error { _, err := api.Stop(t.Context(), id); return err },
	} {
		require.NoError(t, call())
		want := request
		if want[len(want)-1] == '/' {
			want += id.String()
		}
		require.Equal(t, want, got.Method+" "+got.URL.Path)
		require.Equal(t, "Bearer secret", got.Header.Get("Authorization"))
		require.Equal(t, "test", got.Header.Get("User-Agent"))
	}
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
		require.Equal(t, c.status == 404, client.NotFound(err), name)
	}
}

func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"<html>", `[]`, `{"id": 1}`} {
		api := serve(t, client.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		_, err := api.Task(t.Context(), id)
		require.ErrorContains(t, err, "is no Task Runner, or one that is not understood", body)
	}
	api := serve(t, client.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) })
	_, err := api.Submit(t.Context(), []byte("[]"), "")
	require.ErrorContains(t, err, "without a batch id")
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
