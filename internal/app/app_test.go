package app_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// record is a log, line by line, that several goroutines write.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

// with returns the lines that hold a text.
func (r *record) with(text string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.text.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// The log tells what is missing, says of the database once that it fits, and of failed starts and webhooks how many there were.
func TestLog(t *testing.T) {
	t.Setenv("BATCH_CHANNEL_CAPACITY", "5")
	db := testdb.NewEmpty(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	defer refusing.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := config.Parse("--database-url", db.DSN, "--host-url", "http://"+listener.Addr().String(), "--webhook-max-attempts=7", "--skip-ssrf-validation=1")
	require.NoError(t, err)
	require.NoError(t, c.Check())
	log := &record{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, c, app.Options{
			Listener: listener, Log: slog.New(slog.NewTextHandler(log, nil)), Ready: func(net.Addr) { close(ready) },
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	require.Len(t, log.with(`msg=database `), 1)
	changed := log.with("settings in the database changed")
	require.Len(t, changed, 1)
	require.Contains(t, changed[0], `changed" WEBHOOK_MAX_ATTEMPTS.before=10 WEBHOOK_MAX_ATTEMPTS.now=7`+"\n")
	require.Len(t, log.with("database"), 2)
	for _, want := range []string{"the API is open", "SKIP_SSRF_VALIDATION is on", `settings=[BATCH_CHANNEL_CAPACITY]`} {
		require.Len(t, log.with(want), 1)
		require.Contains(t, log.with(want)[0], "level=WARN")
	}

	const tasks = 60
	_, err = db.Pool.Exec(t.Context(), `select taskrunner.submit_batch((
		select jsonb_agg(jsonb_build_object('id', n::text, 'name', 'turned away', 'kind', 'k', 'on_start', w.hook, 'on_failure', jsonb_build_array(w.hook)))
		from generate_series(1, $2::integer) n,
			jsonb_build_object('kind', 'Webhook', 'params', jsonb_build_object('url', $1::text, 'verb', 'Get')) w (hook)))`, refusing.URL, tasks)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var failed int
		err := db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.delivery where trigger = 'End' and status = 'Failed'").Scan(&failed)
		return err == nil && failed == tasks
	}, time.Minute, 20*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	for _, want := range []string{"tasks failed before they ran", "webhooks failed for good"} {
		lines := log.with(want)
		require.NotEmpty(t, lines)
		require.Less(t, len(lines), tasks/2)
		told := 0
		for _, line := range lines {
			count, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndex(line, "=")+1:]))
			require.NoError(t, err)
			told += count
		}
		require.Equal(t, tasks, told)
	}
	require.Len(t, log.with("turned away"), 0, "no line for each task")
}
