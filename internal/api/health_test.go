package api_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/store"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	listener := atomic.Value{}
	listener.Store("connected")
	b := setup(t, func(c *api.Config) { c.ListenerState = func() string { return listener.Load().(string) } })
	a := b.ok(t, http.StatusOK, "GET", "/health", nil, nil)
	require.JSONEq(t, `{"status": "ok", "database": "healthy", "pool_size": 1, "pool_idle": 1, "listener": "connected"}`, a.Body)
	listener.Store("polling")
	a = b.ok(t, http.StatusOK, "GET", "/health", nil, nil)
	require.Contains(t, a.Body, `"listener":"polling"`)
	require.JSONEq(t, `{"status": "ready"}`, b.ok(t, http.StatusOK, "GET", "/ready", nil, nil).Body)

	b.reachable(t, false)
	a = b.ok(t, http.StatusServiceUnavailable, "GET", "/health", nil, nil)
	require.Contains(t, a.Body, `{"status":"degraded","database":"unhealthy",`)
	a = b.ok(t, http.StatusServiceUnavailable, "GET", "/ready", nil, nil)
	require.JSONEq(t, `{"status": "not_ready", "reason": "cannot acquire database connection"}`, a.Body)
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Ready = func() (bool, string) { return false, "shutting down" } })
	a := b.ok(t, http.StatusServiceUnavailable, "GET", "/ready", nil, nil)
	require.JSONEq(t, `{"status": "not_ready", "reason": "shutting down"}`, a.Body)
	b.ok(t, http.StatusOK, "GET", "/health", nil, nil)
}

func TestPoolExhausted(t *testing.T) {
	t.Parallel()
	// A store with a single connection, which a locked table keeps busy.
	b := setupStore(t, func(o *store.Options) { o.MaxConns, o.AcquireTimeout = 1, time.Second })
	created := b.submit(t, entry("a"))[0]
	id := created.ID
	holder := b.db.Connect(t)
	_, err := holder.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "lock table taskrunner.batch in access exclusive mode")
	require.NoError(t, err)
	shown := make(chan answer, 1)
	go func() { shown <- b.do(t, "GET", "/batch/"+created.BatchID.String(), nil) }()
	require.Eventually(t, func() bool {
		var n int
		err := b.db.Pool.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'", b.db.Name).Scan(&n)
		return err == nil && n > 0
	}, 20*time.Second, 10*time.Millisecond)

	a := b.do(t, "GET", "/task/"+id.String(), nil)
	a.failure(t, http.StatusServiceUnavailable)
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	a = b.ok(t, http.StatusServiceUnavailable, "GET", "/ready", nil, nil)
	require.JSONEq(t, `{"status": "not_ready", "reason": "connection pool exhausted"}`, a.Body)
	_, err = holder.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, (<-shown).Status)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "up 1\n")
		})
	})
	a := b.ok(t, http.StatusOK, "GET", "/metrics", nil, nil)
	require.Equal(t, "up 1\n", a.Body)
	require.Equal(t, "text/plain", a.Header.Get("Content-Type"))
	b.fails(t, http.StatusMethodNotAllowed, "POST", "/metrics", nil)
}
