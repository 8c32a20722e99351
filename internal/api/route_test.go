package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/task"
)

func TestRouting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.NewString()
	for _, path := range []string{
		"/", "/nothing", "/task/", "/health/", "/task/" + id + "/", "/task//" + id, "//task", "/task/../task", "/./task",
		"/task/" + id + "/delivery", "/delivery", "/delivery/" + id, "/deliveries/" + id, "/batch", "/batch/", "/swagger-ui", "/dag", "/Task", "/task%2F" + id, "/task/%2e%2e/health", "/task/%2F",
		"/task/pause/" + id + "/", "/task/pause/" + id + "/x", "/task%2Fpause/" + id,
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			f := b.fails(t, http.StatusNotFound, method, path, nil)
			require.Equal(t, "no such path", f.Error, path)
		}
	}
	for path, allow := range map[string]string{
		"/task":                       "GET, HEAD, POST",
		"/batches":                    "GET, HEAD",
		"/task/" + id:                 "DELETE, GET, HEAD, PATCH, PUT",
		"/task/no":                    "DELETE, GET, HEAD, PATCH, PUT", // the method is looked at first
		"/task/" + id + "/deliveries": "GET, HEAD",
		"/deliveries":                 "GET, HEAD",
		"/deliveries/replay":          "POST",
		"/delivery/" + id + "/replay": "POST",
		"/task/pause/" + id:           "PATCH",
		"/task/resume/" + id:          "PATCH",
		"/task/pause":                 "DELETE, GET, HEAD, PATCH, PUT", // a bad id
		"/batch/" + id:                "DELETE, GET, HEAD",
		"/dag/" + id:                  "GET, HEAD",
		"/health":                     "GET, HEAD",
		"/ready":                      "GET, HEAD",
		"/metrics":                    "GET, HEAD",
		"/swagger-ui/":                "GET, HEAD",
	} {
		for _, method := range []string{"OPTIONS", "TRACE", "BREW", "get"} {
			a := b.do(t, method, path, nil)
			a.failure(t, http.StatusMethodNotAllowed)
			require.Equal(t, allow, a.Header.Get("Allow"), path)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Contains(t, b.observed, "unmatched GET 404")
	require.Contains(t, b.observed, "/task/{task_id} BREW 405")
}

func TestPathUUIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	plain := id.String()
	hex := strings.ReplaceAll(plain, "-", "")
	for _, spelling := range []string{
		plain, strings.ToUpper(plain), hex, strings.ToUpper(hex), "{" + plain + "}", "%7B" + plain + "%7D",
		"urn:uuid:" + plain, "URN:UUID:" + plain, "urn%3Auuid%3A" + plain,
	} {
		var got task.Task
		b.ok(t, http.StatusOK, "GET", "/task/"+spelling, nil, &got)
		require.Equal(t, id, got.ID)
	}
	for _, spelling := range []string{
		"x", "0", hex[1:], plain + "0", "(" + plain + ")", "{" + hex + "}", "urn:uuid:" + hex, "uuid:urn:" + plain,
		strings.Replace(plain, "-", "_", 1), plain[:35] + "g", "%00", hex[:31] + "%00", strings.Repeat("é", 18), plain + "%20",
		"-" + hex[:31], "null", "x%2Fy", strings.Repeat("a", 5000),
	} {
		for _, path := range []string{"/task/", "/batch/", "/dag/"} {
			f := b.fails(t, http.StatusBadRequest, "GET", path+spelling, nil)
			require.Len(t, f.Details, 1)
			require.Contains(t, f.Details[0], "must be a UUID")
		}
	}
	// A bad UUID comes before a bad body.
	b.fails(t, http.StatusBadRequest, "PATCH", "/task/x", nil)
}

func TestHead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	for path, status := range map[string]int{
		"/health": 200, "/ready": 200, "/task/" + id.String(): 200, "/task/x": 400, "/batch/" + uuid.NewString(): 404, "/no": 404,
	} {
		get, head := b.do(t, "GET", path, nil), b.do(t, "HEAD", path, nil)
		require.Equal(t, status, head.Status)
		require.Empty(t, head.Body)
		require.Equal(t, get.Header.Get("Content-Length"), head.Header.Get("Content-Length"))
		require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"))
	}
}

// brokenStore stands for what cannot be foreseen; everything else is the real store's.
type brokenStore struct {
	api.Store
	task func() (task.Task, error)
}

func (s brokenStore) Task(context.Context, uuid.UUID) (task.Task, error) { return s.task() }

func TestInternalErrorsShowNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() (task.Task, error){
		"error": func() (task.Task, error) { return task.Task{}, errors.New("select secret from table") },
		"panic": func() (task.Task, error) { panic("select secret from table") },
		"unknown code": func() (task.Task, error) {
			return task.Task{}, &task.Error{Code: "new", Message: "select secret from table"}
		},
		"not to be encoded": func() (task.Task, error) {
			return task.Task{CreatedAt: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), Name: "select secret from table"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *api.Config) { c.Store = brokenStore{Store: c.Store, task: fail} })
			f := b.fails(t, http.StatusInternalServerError, "GET", "/task/"+uuid.NewString(), nil)
			require.NotContains(t, f.Error, "secret")
			id := strings.TrimPrefix(f.Error, "internal error, request ")
			require.NoError(t, uuid.Validate(id))
			require.Contains(t, b.log.String(), id)
		})
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	b.reachable(t, false)
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/task/" + id.String(), nil}, {"DELETE", "/task/" + id.String(), nil}, {"PATCH", "/task/" + id.String(), object{}},
		{"PUT", "/task/" + id.String(), object{"new_success": 1}}, {"POST", "/task", []object{entry("a")}},
		{"GET", "/batch/" + id.String(), nil}, {"GET", "/dag/" + id.String(), nil}, {"GET", "/task", nil}, {"GET", "/batches", nil},
	} {
		a := b.do(t, r.method, r.path, r.body)
		f := a.failure(t, http.StatusServiceUnavailable)
		require.Equal(t, "2", a.Header.Get("Retry-After"))
		require.NotContains(t, f.Error, "127.0.0.1")
	}
	b.reachable(t, true)
	b.ok(t, http.StatusOK, "GET", "/task/"+id.String(), nil, nil)
}

// A client that goes away is no error of ours.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	b := setup(t, func(c *api.Config) { c.Store = blockingStore{Store: c.Store, entered: entered} })
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", b.server.URL+"/task/"+uuid.NewString(), nil)
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() {
		resp, err := b.client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.observed) == 1
	}, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, []string{"/task/{task_id} GET 499"}, b.observed)
	require.Empty(t, b.log.String())
}

type blockingStore struct {
	api.Store
	entered chan struct{}
}

func (s blockingStore) Task(ctx context.Context, _ uuid.UUID) (task.Task, error) {
	close(s.entered)
	<-ctx.Done()
	return task.Task{}, fmt.Errorf("store: %w", ctx.Err())
}

func TestServerHasTimeouts(t *testing.T) {
	t.Parallel()
	s := api.Server(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	require.Positive(t, s.ReadHeaderTimeout)
	require.Positive(t, s.ReadTimeout)
	require.Greater(t, s.WriteTimeout, s.ReadTimeout)
	require.Positive(t, s.IdleTimeout)
}
