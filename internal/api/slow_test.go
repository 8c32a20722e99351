package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/view"
)

// pipes is a listener whose connections have no buffers and keep the time of the test.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error { close(p.done); return nil }

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p pipes) connect() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// noStore is for requests that never come to the database.
type noStore struct{ api.Store }

// largeTask is a store of one task whose answer no buffer holds.
type largeTask struct{ api.Store }

func (largeTask) Task(context.Context, uuid.UUID) (task.Task, error) {
	return task.Task{Metadata: json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)}, nil
}

// slow runs f with a server in a bubble of its own time.
func slow(t *testing.T, s api.Store, f func(t *testing.T, p pipes), change ...func(*api.Config)) {
	synctest.Test(t, func(t *testing.T) {
		signer, err := handle.New("http://h", [][]byte{[]byte("key")})
		require.NoError(t, err)
		log := slog.New(slog.DiscardHandler)
		c := api.Config{
			Store: s, Handles: signer, MaxBodyBytes: 64 << 20, PageSize: 1, MaxPageSize: 1, IdempotencyLife: time.Hour, Log: log,
			Metrics: http.NotFoundHandler(),
		}
		for _, f := range change {
			f(&c)
		}
		h, err := api.New(c)
		require.NoError(t, err)
		server := api.Server(h, log)
		p := pipes{make(chan net.Conn), make(chan struct{})}
		ended := make(chan error)
		go func() { ended <- server.Serve(api.Listener(p, 1000, log)) }()
		defer func() {
			require.NoError(t, server.Close())
			require.ErrorIs(t, <-ended, http.ErrServerClosed)
			time.Sleep(time.Second) // net/http leaves clients half a second to read what was sent
		}()
		f(t, p)
	})
}

func readAnswer(t *testing.T, c net.Conn) answer {
	t.Helper()
	return connection{c, bufio.NewReader(c)}.answer(t, http.MethodPut)
}

const putHead = "PUT /task/00000000-0000-4000-8000-000000000001 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"

// A body may take 30 s, and a second more for every 256 KiB of it.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	slow(t, noStore{}, func(t *testing.T, p pipes) {
		for name, c := range map[string]struct {
			piece int
			every time.Duration
			ends  time.Duration // 0: never
		}{
			"nothing":        {0, time.Second, 30 * time.Second},
			"drops":          {1, time.Second, 30 * time.Second},
			"half the speed": {128 << 10, time.Second, 60 * time.Second},
			"the speed":      {256 << 10, time.Second, 0},
		} {
			conn := p.connect()
			began := time.Now()
			_, err := io.WriteString(conn, putHead+"Content-Length: 8388608\r\n\r\n")
			require.NoError(t, err)
			answered := make(chan time.Duration)
			go func() {
				readAnswer(t, conn).failure(t, http.StatusBadRequest)
				answered <- time.Since(began)
			}()
			sent, took := 0, time.Duration(0)
			for sent < 8<<20 && took == 0 {
				n, _ := io.WriteString(conn, strings.Repeat(" ", c.piece))
				sent += n
				select {
				case took = <-answered:
				case <-time.After(c.every):
				}
			}
			if took == 0 {
				took = <-answered
			}
			require.Equal(t, c.ends == 0, sent == 8<<20, name) // that many spaces are no JSON
			if c.ends != 0 {
				require.InDelta(t, c.ends.Seconds(), took.Seconds(), 1.5, name)
			}
			conn.Close()
		}
	})
}

// An answer that its client does not take is dropped: 30 s, and a second more for every 256 KiB of it.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	slow(t, largeTask{}, func(t *testing.T, p pipes) {
		conn := p.connect()
		began := time.Now()
		_, err := io.WriteString(conn, "GET /task/00000000-0000-4000-8000-000000000001 HTTP/1.1\r\nHost: h\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 1000))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = io.ReadAll(conn)
		require.NoError(t, err) // it was closed
		require.InDelta(t, 60, time.Since(began).Seconds(), 1)
	})
}

// A request that is worked on for long is not ended by the limits for its body.
func TestBodyLimitsEndWithTheBody(t *testing.T) {
	t.Parallel()
	slow(t, patientStore{}, func(t *testing.T, p pipes) {
		conn := p.connect()
		go func() { _, _ = io.WriteString(conn, putHead+"Content-Length: 18\r\n\r\n"+`{"new_success": 1}`) }()
		require.Equal(t, http.StatusAccepted, readAnswer(t, conn).Status)
		conn.Close()
	})
}

type patientStore struct{ api.Store }

func (patientStore) AddProgress(ctx context.Context, _ task.Progress) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Minute):
		return nil
	}
}

// A client that does not send its header, or the rest of a body that nobody reads, is not waited for.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	slow(t, noStore{}, func(t *testing.T, p pipes) {
		conn := p.connect()
		began := time.Now()
		_, err := io.WriteString(conn, "GET /health HT")
		require.NoError(t, err)
		_, err = io.ReadAll(conn)
		require.NoError(t, err)
		require.InDelta(t, 10, time.Since(began).Seconds(), 1)

		conn = p.connect()
		began = time.Now()
		_, err = io.WriteString(conn, "PUT /none HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
		require.NoError(t, err)
		readAnswer(t, conn).failure(t, http.StatusNotFound)
		require.InDelta(t, 2, time.Since(began).Seconds(), 1)
		conn.Close()
	})
}

// A body that is refused in its middle is not waited for either.
func TestSlowRefusedBodies(t *testing.T) {
	t.Parallel()
	slow(t, noStore{}, func(t *testing.T, p pipes) {
		conn := p.connect()
		began := time.Now()
		go func() {
			_, _ = io.WriteString(conn, putHead+"Content-Length: 350000\r\n\r\n"+strings.Repeat(" ", 300<<10))
		}()
		readAnswer(t, conn).failure(t, http.StatusServiceUnavailable)
		require.InDelta(t, 2, time.Since(began).Seconds(), 1)
		conn.Close()
	}, func(c *api.Config) { c.BodyMemory = 100 << 10 })
}

// changing is a store of one batch that changes with every look.
type changing struct {
	api.Store
	looks atomic.Int64
}

func (c *changing) ViewStates(context.Context, uuid.UUID, int, bool) (task.ViewStates, error) {
	return task.ViewStates{States: slices.Repeat([]task.ViewState{{Success: c.looks.Add(1)}}, 1000)}, nil
}

func (*changing) WatchBatch(context.Context, uuid.UUID, uuid.UUID) (bool, error) { return false, nil }
func (*changing) UnwatchBatch(context.Context, uuid.UUID, uuid.UUID) error       { return nil }

// A page that does not read is cut off after 30 s; one that reads goes on beyond all limits of requests, and hears a comment when
// nothing happens.
func TestSlowPages(t *testing.T) {
	t.Parallel()
	s := &changing{}
	var hub *view.Hub
	slow(t, s, func(t *testing.T, p pipes) {
		defer hub.Close()
		const request = "GET /view/events?batch=00000000-0000-4000-8000-000000000001 HTTP/1.1\r\nHost: h\r\n\r\n"
		reads, ignores := p.connect(), p.connect()
		for _, c := range []net.Conn{reads, ignores} {
			_, err := io.WriteString(c, request)
			require.NoError(t, err)
		}
		began := time.Now()
		lines := bufio.NewScanner(reads)
		lines.Buffer(nil, 1<<20)
		events := 0
		for time.Since(began) < time.Hour && lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				events++
			}
		}
		require.NoError(t, lines.Err())
		require.Greater(t, events, 1000)

		_, err := io.ReadAll(ignores)
		require.NoError(t, err)
		reads.Close()
		synctest.Wait()
		time.Sleep(time.Minute)
		looks := s.looks.Load()
		time.Sleep(time.Minute)
		require.Equal(t, looks, s.looks.Load(), "nobody looks any more")
	}, func(c *api.Config) {
		hub = view.NewHub(s, uuid.New(), 1000, slog.New(slog.DiscardHandler))
		c.View = hub
	})
}
