package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/metrics"
	"github.com/taskrunner/taskrunner/internal/openapitest"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
	"github.com/taskrunner/taskrunner/internal/view"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const (
	maxBody   = 4 << 20
	viewTasks = 300 // most tasks that the page draws
)

// testBundle is the API over HTTP, on a real store whose login has the role taskrunner_service and no other.
type testBundle struct {
	db      *testdb.DB
	store   *store.Store
	handles *handle.Signer
	server  *httptest.Server
	client  *http.Client
	replica uuid.UUID
	view    *view.Hub
	log     syncBuffer

	mu       sync.Mutex
	seen     map[string]bool // operations of the OpenAPI document with the status of their answers, "getTask 200"
	observed []string
	created  int
}

func setup(t *testing.T, change ...func(*api.Config)) *testBundle {
	t.Helper()
	return setupStore(t, func(*store.Options) {}, change...)
}

func setupStore(t *testing.T, options func(*store.Options), change ...func(*api.Config)) *testBundle {
	t.Helper()
	b := &testBundle{db: testdb.New(t), replica: uuid.New(), seen: map[string]bool{}}
	var err error
	o := store.Options{MaxConns: 4, PreparedStatements: true, AcquireTimeout: 20 * time.Second, Log: slog.New(slog.DiscardHandler)}
	options(&o)
	b.store, err = store.Open(t.Context(), b.db.Login(t, "taskrunner_service"), o)
	require.NoError(t, err)
	t.Cleanup(b.store.Close)
	b.handles, err = handle.New("https://runner.example.com", [][]byte{[]byte("new key"), []byte("old key")})
	require.NoError(t, err)
	b.view = view.NewHub(b.store, b.replica, viewTasks, slog.New(slog.DiscardHandler))
	c := api.Config{
		Store:           b.store,
		View:            b.view,
		Handles:         b.handles,
		MaxBodyBytes:    maxBody,
		PageSize:        50,
		MaxPageSize:     100,
		ViewTasks:       viewTasks,
		IdempotencyLife: 24 * time.Hour,
		Metrics:         metrics.New().Handler(),
		RetryAfter:      1500 * time.Millisecond,
		Log:             slog.New(slog.NewTextHandler(&b.log, nil)),
		Observe: func(endpoint, method string, status int, _ time.Duration) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.observed = append(b.observed, fmt.Sprint(endpoint, " ", method, " ", status))
		},
		Created: func(tasks []task.Task) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.created += len(tasks)
		},
	}
	for _, f := range change {
		f(&c)
	}
	h, err := api.New(c)
	require.NoError(t, err)
	h = openapitest.Load(t).Handler(t, h, func(operation string, status int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen[fmt.Sprint(operation, " ", status)] = true
	})
	b.server = httptest.NewUnstartedServer(h)
	b.server.Config = api.Server(h, slog.New(slog.DiscardHandler))
	b.server.Listener = api.Listener(b.server.Listener, 1000, slog.New(slog.DiscardHandler))
	b.server.Start()
	b.client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.Cleanup(func() { b.view.Close(); b.client.CloseIdleConnections(); b.server.Close() })
	return b
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// answer is a response, read to its end.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// failure is the body of an error.
type failure struct {
	Error         string     `json:"error"`
	Status        int        `json:"status"`
	Details       []string   `json:"details"`
	BatchID       *uuid.UUID `json:"batch_id"`
	CurrentStatus string     `json:"current_status"`
	RequestID     string     `json:"request_id"`
}

// do sends a request; a body that is not nil is sent as application/json.
func (b *testBundle) do(t *testing.T, method, path string, body any) answer {
	t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		reader = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, reader)
	require.NoError(t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return b.send(t, r)
}

func (b *testBundle) send(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := b.client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{Status: resp.StatusCode, Header: resp.Header, Body: string(raw)}
}

// fails sends a request and wants an error of this status, in the one shape.
func (b *testBundle) fails(t *testing.T, status int, method, path string, body any) failure {
	t.Helper()
	a := b.do(t, method, path, body)
	return a.failure(t, status)
}

func (a answer) failure(t *testing.T, status int) failure {
	t.Helper()
	require.Equal(t, status, a.Status, a.Body)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	var f failure
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&f), a.Body)
	require.Equal(t, status, f.Status)
	require.NotEmpty(t, f.Error)
	require.NotEmpty(t, f.RequestID)
	require.Equal(t, a.Header.Get("X-Request-Id"), f.RequestID)
	require.Empty(t, a.Header.Get("X-Batch-ID"))
	return f
}

// ok sends a request, wants this status, and decodes the answer into dst unless that is nil.
func (b *testBundle) ok(t *testing.T, status int, method, path string, body, dst any) answer {
	t.Helper()
	a := b.do(t, method, path, body)
	require.Equal(t, status, a.Status, a.Body)
	if dst != nil {
		require.NoError(t, json.Unmarshal([]byte(a.Body), dst), a.Body)
	}
	return a
}

type object = map[string]any

// action is an action of a request.
func action(path string) object {
	return object{"kind": "Webhook", "params": object{"url": "https://jobs.example.com/" + path, "verb": "Post"}}
}

// entry is a task of a request; parents are local names whose success it requires.
func entry(id string, parents ...string) object {
	e := object{"id": id, "name": "task " + id, "kind": "etl", "on_start": action(id)}
	if len(parents) > 0 {
		list := []object{}
		for _, p := range parents {
			list = append(list, object{"id": p, "requires_success": true})
		}
		e["dependencies"] = list
	}
	return e
}

// submit creates tasks and returns them.
func (b *testBundle) submit(t *testing.T, entries ...object) []task.Task {
	t.Helper()
	var tasks []task.Task
	b.ok(t, http.StatusCreated, "POST", "/task", entries, &tasks)
	return tasks
}

// start claims all ready tasks and brings them to Running.
func (b *testBundle) start(t *testing.T) {
	t.Helper()
	claims, _, err := b.store.ClaimTasks(t.Context(), b.replica, 100, 30*time.Second, nil, true, task.Rooms{})
	require.NoError(t, err)
	code := int32(200)
	tries := []task.StartTry{}
	for _, c := range claims {
		tries = append(tries, task.StartTry{Claim: c, Try: task.Try{At: time.Now(), StatusCode: &code}})
	}
	_, startErr := b.store.StartTasks(t.Context(), tries)
	require.NoError(t, startErr)
}

// running creates one task and brings it to Running.
func (b *testBundle) running(t *testing.T) uuid.UUID {
	t.Helper()
	id := b.submit(t, entry("a"))[0].ID
	b.start(t)
	return id
}

func (b *testBundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// reachable lets the database take connections, or ends them all and takes no more.
func (b *testBundle) reachable(t *testing.T, reachable bool) {
	t.Helper()
	u, err := url.Parse(b.db.DSN)
	require.NoError(t, err)
	u.Path = "/postgres"
	conn := testdb.ConnectTo(t, u.String())
	_, err = conn.Exec(t.Context(), fmt.Sprintf("alter database %s allow_connections %t", b.db.Name, reachable))
	require.NoError(t, err)
	if !reachable {
		_, err = conn.Exec(t.Context(), "select pg_terminate_backend(pid, 20000) from pg_stat_activity where datname = $1", b.db.Name)
		require.NoError(t, err)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	t.Parallel()
	signer, err := handle.New("http://h", [][]byte{[]byte("key")})
	require.NoError(t, err)
	good := api.Config{Store: &store.Store{}, Handles: signer, MaxBodyBytes: 1, IdempotencyLife: 1, PageSize: 1, MaxPageSize: 1,
		Metrics: http.NotFoundHandler()}
	_, err = api.New(good)
	require.NoError(t, err)
	for _, change := range []func(*api.Config){
		func(c *api.Config) { c.Store = nil },
		func(c *api.Config) { c.Handles = nil },
		func(c *api.Config) { c.Metrics = nil },
		func(c *api.Config) { c.MaxBodyBytes = 0 },
		func(c *api.Config) { c.IdempotencyLife = 0 },
		func(c *api.Config) { c.PageSize = 0 },
		func(c *api.Config) { c.PageSize = 2 },
	} {
		c := good
		change(&c)
		_, err = api.New(c)
		require.Error(t, err)
	}
}
