package notify_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

const patience = 10 * time.Second

func TestMain(m *testing.M) { testdb.Main(m) }

// observer passes on what the listener tells it.
type observer struct {
	connected   chan bool
	reconnected atomic.Int32
}

func newObserver() *observer { return &observer{connected: make(chan bool, 100)} }

func (o *observer) ListenerConnected(connected bool) { o.connected <- connected }
func (o *observer) ListenerReconnected()             { o.reconnected.Add(1) }

func (o *observer) await(t *testing.T, want bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-o.connected:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("the listener did not become connected=%v", want)
		}
	}
}

// run starts a listener that ends with the test.
func run(t *testing.T, dsn string, o notify.Options) *notify.Listener {
	t.Helper()
	l := notify.New(dsn, o)
	l.Subscribe(notify.Start)
	l.Subscribe(notify.Deliver)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.False(t, l.Connected())
	})
	return l
}

func awaitSignal(t *testing.T, s notify.Signal) {
	t.Helper()
	select {
	case <-s:
	case <-time.After(patience):
		t.Fatal("no signal came")
	}
}

func TestNotificationsWakeTheirLoop(t *testing.T) {
	t.Parallel()
	db, o := testdb.New(t), newObserver()
	l := run(t, db.DSN, notify.Options{Observer: o})
	start, deliver := l.Subscribe(notify.Start), l.Subscribe(notify.Deliver)
	awaitSignal(t, start) // everything is woken after the connect
	awaitSignal(t, deliver)
	require.True(t, l.Connected())

	// Nobody reads the signals meanwhile: the listener is not held up, and many are one.
	_, err := db.Pool.Exec(t.Context(), "select pg_notify('taskrunner', 'start ' || n) from generate_series(1, 5000) n")
	require.NoError(t, err)
	for range 3 {
		_, err = db.Pool.Exec(t.Context(), "notify taskrunner, 'start'")
		require.NoError(t, err)
	}
	_, err = db.Pool.Exec(t.Context(), "notify taskrunner, 'deliver'") // delivered after those before it
	require.NoError(t, err)
	awaitSignal(t, deliver)
	awaitSignal(t, start)
	require.Empty(t, start)
	require.Empty(t, deliver)
}

func TestReconnectsAndWakesAll(t *testing.T) {
	t.Parallel()
	db, o := testdb.New(t), newObserver()
	l := run(t, db.DSN, notify.Options{Observer: o})
	start, deliver := l.Subscribe(notify.Start), l.Subscribe(notify.Deliver)
	o.await(t, true)
	awaitSignal(t, start)
	awaitSignal(t, deliver)

	var ended int
	err := db.Pool.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
		where datname = current_database() and application_name = 'taskrunner listener'`).Scan(&ended)
	require.NoError(t, err)
	require.Equal(t, 1, ended)
	o.await(t, false)
	o.await(t, true)
	awaitSignal(t, start)
	awaitSignal(t, deliver)
	require.True(t, l.Connected())
	require.EqualValues(t, 1, o.reconnected.Load())
}

func TestDeafConnectionCountsAsNone(t *testing.T) {
	t.Parallel()
	db, o := testdb.New(t), newObserver()
	proxy := startProxy(t, db.DSN)
	l := run(t, proxy.dsn, notify.Options{Observer: o, ProveEvery: 50 * time.Millisecond, ProveWithin: 200 * time.Millisecond})
	o.await(t, true)
	awaitSignal(t, l.Subscribe(notify.Start))

	proxy.deaf.Store(true)
	o.await(t, false)
	require.False(t, l.Connected())
	proxy.deaf.Store(false)
	o.await(t, true)
	awaitSignal(t, l.Subscribe(notify.Start))
}

// proxy relays connections to a server; while it is deaf it drops the notifications.
type proxy struct {
	dsn  string
	deaf atomic.Bool
}

func startProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	server := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = listener.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	p := &proxy{dsn: u.String()}

	var relays sync.WaitGroup
	relays.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			relays.Go(func() {
				defer client.Close()
				backend, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer backend.Close()
				relays.Go(func() {
					_, _ = io.Copy(backend, client)
					_ = backend.Close()
				})
				p.relayAnswers(client, backend)
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); relays.Wait() })
	return p
}

// relayAnswers passes the server's messages on: a type, a length that counts itself, and the rest.
func (p *proxy) relayAnswers(client io.Writer, backend io.Reader) {
	const notification = 'A'
	header := make([]byte, 5)
	for {
		if _, err := io.ReadFull(backend, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(backend, body); err != nil {
			return
		}
		if header[0] == notification && p.deaf.Load() {
			continue
		}
		if _, err := client.Write(append(header[:5:5], body...)); err != nil {
			return
		}
	}
}

// lines is a log, by line.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

// However often it is tried meanwhile, an outage is two lines.
func TestAnOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	db, o := testdb.New(t), newObserver()
	proxy := startProxy(t, db.DSN)
	log := &lines{}
	proxy.deaf.Store(true)
	l := run(t, proxy.dsn, notify.Options{
		Log: slog.New(slog.NewTextHandler(log, nil)), Observer: o, ProveEvery: 50 * time.Millisecond, ProveWithin: 50 * time.Millisecond,
	})
	for range 3 {
		o.await(t, false)
	}
	proxy.deaf.Store(false)
	o.await(t, true)
	awaitSignal(t, l.Subscribe(notify.Start))
	got := log.all()
	require.Len(t, got, 2)
	require.Contains(t, got[0], "level=WARN")
	require.Contains(t, got[0], "LISTEN_DATABASE_URL must be a direct connection")
	require.Contains(t, got[1], "level=INFO")
	require.Contains(t, got[1], "works again")
}
