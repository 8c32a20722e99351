package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
)

// gatedStore holds calls of Task until the gate opens.
type gatedStore struct {
	api.Store
	entered chan struct{}
	gate    chan struct{}
}

func (s gatedStore) Task(ctx context.Context, id uuid.UUID) (task.Task, error) {
	s.entered <- struct{}{}
	<-s.gate
	return s.Store.Task(ctx, id)
}

// counted counts what the API tells of load.
type counted struct {
	inFlight atomic.Int64
	mu       sync.Mutex
	shed     map[string]int
}

func (n *counted) hooks(c *api.Config) {
	n.shed = map[string]int{}
	c.InFlight = func(delta int) { n.inFlight.Add(int64(delta)) }
	c.Shed = func(reason string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.shed[reason]++
	}
}

func (n *counted) count(reason string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.shed[reason]
}

func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	const most = 3
	var n counted
	gated := gatedStore{entered: make(chan struct{}), gate: make(chan struct{})}
	b := setup(t, withTokens(t), n.hooks, func(c *api.Config) {
		gated.Store, c.Store, c.MaxInFlight = c.Store, nil, most
		c.Store = gated
	})
	admin := []string{"Authorization", "Bearer " + secrets["admin"]}
	path := "/task/" + uuid.NewString()
	var served sync.WaitGroup
	for range most {
		served.Go(func() { require.Equal(t, http.StatusNotFound, b.with(t, "GET", path, admin...).Status) })
		<-gated.entered
	}
	require.EqualValues(t, most, n.inFlight.Load())

	for _, request := range [][2]string{{"GET", path}, {"PUT", path}, {"POST", "/task"}, {"DELETE", path}, {"GET", "/batch/" + uuid.NewString()}} {
		a := b.with(t, request[0], request[1], admin...) // no content type: that would be looked at later
		a.failure(t, http.StatusServiceUnavailable)
		require.Equal(t, "2", a.Header.Get("Retry-After"))
	}
	require.Equal(t, 5, n.count("in_flight"))
	// What comes before, and what is exempt.
	require.Equal(t, http.StatusNotFound, b.with(t, "GET", "/none").Status)
	require.Equal(t, http.StatusMethodNotAllowed, b.with(t, "POST", path).Status)
	require.Equal(t, http.StatusBadRequest, b.with(t, "GET", "/task/x").Status)
	require.Equal(t, http.StatusUnauthorized, b.with(t, "GET", path).Status)
	require.Equal(t, http.StatusForbidden, b.with(t, "DELETE", path, "Authorization", "Bearer r-secret").Status)
	for _, exempt := range []string{"/health", "/ready", "/metrics"} {
		require.Equal(t, http.StatusOK, b.with(t, "GET", exempt, admin...).Status, exempt)
	}
	require.EqualValues(t, most, n.inFlight.Load())
	require.Equal(t, 5, n.count("in_flight"))
	require.Contains(t, b.log.String(), "requests are refused")

	close(gated.gate)
	served.Wait()
	go func() { <-gated.entered }()
	require.Equal(t, http.StatusNotFound, b.with(t, "GET", path, admin...).Status)
	require.Eventually(t, func() bool { return n.inFlight.Load() == 0 }, patience, time.Millisecond)
}

// countingStore counts how many calls of Task run at once.
type countingStore struct {
	api.Store
	now, most *atomic.Int64
}

func (s countingStore) Task(ctx context.Context, id uuid.UUID) (task.Task, error) {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	return s.Store.Task(ctx, id)
}

// However many come at once: no more than the limit are served at a time, and everybody gets an answer.
func TestTheLimitHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	const most, clients, each = 4, 32, 30
	var n counted
	var now, peak atomic.Int64
	b := setup(t, n.hooks, func(c *api.Config) {
		c.MaxInFlight, c.Store = most, countingStore{Store: c.Store, now: &now, most: &peak}
	})
	id := b.submit(t, entry("a"))[0].ID
	var ok, refused atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				switch a := b.do(t, "GET", "/task/"+id.String(), nil); a.Status {
				case http.StatusOK:
					ok.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, peak.Load(), int64(most))
	require.EqualValues(t, clients*each, ok.Load()+refused.Load())
	require.Positive(t, ok.Load())
	require.EqualValues(t, refused.Load(), n.count("in_flight"))
	require.Eventually(t, func() bool { return n.inFlight.Load() == 0 }, patience, time.Millisecond)
	b.db.AssertInvariants(t)
}

// Large bodies share a budget, in what they really take; small ones are never refused for it.
func TestBodiesShareABudget(t *testing.T) {
	t.Parallel()
	var n counted
	b := setup(t, n.hooks, func(c *api.Config) { c.BodyMemory = 3 << 20 })
	path := "/task/" + b.running(t).String()
	patch := func(size int) string { return `{"failure_reason": "` + strings.Repeat("x", size) + `"}` }
	begin := "PATCH " + path + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n"
	idle := b.connect(t)
	idle.send(t, begin) // it announces much and sends nothing
	b.ok(t, http.StatusOK, "PATCH", path, patch(2<<20), nil)

	slow := patch(3_000_000 - len(patch(0)))
	var conn connection
	require.Eventually(t, func() bool { // until half of it has been read before the other one comes
		conn = b.connect(t)
		conn.send(t, begin+slow[:1_500_000])
		if b.do(t, "PATCH", path, patch(2<<20)).Status == http.StatusServiceUnavailable {
			return true
		}
		conn.Close()
		return false
	}, patience, time.Millisecond)
	require.Positive(t, n.count("in_flight"))
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { b.ok(t, http.StatusOK, "PATCH", path, patch(60<<10), nil) })
	}
	all.Wait()
	require.Equal(t, http.StatusServiceUnavailable, b.do(t, "POST", "/task", patch(2<<20)).Status)

	conn.send(t, slow[1_500_000:])
	require.Equal(t, http.StatusOK, conn.answer(t, http.MethodPatch).Status)
	require.Eventually(t, func() bool { return b.do(t, "PATCH", path, patch(2_900_000)).Status == http.StatusOK }, patience, time.Millisecond)
	b.db.AssertInvariants(t)
}

// Whatever becomes of a body, its memory is given back.
func TestBudgetIsGivenBack(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.BodyMemory = 2 << 20 })
	path := "/task/" + b.running(t).String()
	long := strings.Repeat("x", 1<<20)
	for body, status := range map[string]int{
		`{"failure_reason": "` + long + `"}`: 200, `{"priority": "` + long + `"}`: 400, `{"` + long: 400, `["` + long + `"]`: 400,
		strings.Repeat("[", 1<<20): 400,
	} {
		for range 3 {
			require.Equal(t, status, b.do(t, "PATCH", path, body).Status)
		}
	}
	for range 5 { // a client that goes away in the middle
		conn := b.connect(t)
		conn.send(t, "PATCH "+path+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n"+long)
		conn.Close()
	}
	require.Eventually(t, func() bool {
		return b.do(t, "PATCH", path, `{"failure_reason": "`+long+`"}`).Status == http.StatusOK
	}, patience, time.Millisecond)
}

// While the database is away requests fail at once, and when it is back they are served again.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	var n counted
	var mu sync.Mutex
	var states []store.BreakerState
	b := setupStore(t, func(o *store.Options) {
		o.Breaker = store.Breaker{Failures: 5, Window: time.Minute, Recovery: time.Second, OnChange: func(to store.BreakerState) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, to)
		}}
	}, n.hooks, func(c *api.Config) { c.DatabaseAway = c.Store.(*store.Store).Away })
	id := b.submit(t, entry("a"))[0].ID
	path := "/task/" + id.String()

	b.reachable(t, false)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				a := b.do(t, "GET", path, nil)
				a.failure(t, http.StatusServiceUnavailable)
				require.Equal(t, "2", a.Header.Get("Retry-After"))
			}
		})
	}
	all.Wait()
	require.Positive(t, n.count("database"))
	require.Eventually(t, func() bool { // while it is open, a bad request is not looked at
		b.do(t, "GET", path, nil).failure(t, http.StatusServiceUnavailable)
		return b.with(t, "PUT", path).Status == http.StatusServiceUnavailable
	}, patience, time.Millisecond)
	b.ok(t, http.StatusServiceUnavailable, "GET", "/health", nil, nil)
	mu.Lock()
	require.Equal(t, store.BreakerOpen, states[0])
	mu.Unlock()

	b.reachable(t, true)
	require.Eventually(t, func() bool { return b.do(t, "GET", path, nil).Status == http.StatusOK }, patience, time.Millisecond)
	for range 8 {
		all.Go(func() {
			for range 20 {
				b.ok(t, http.StatusOK, "GET", path, nil, nil)
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, store.BreakerClosed, states[len(states)-1])
	for i, state := range states[1:] { // open and half open by turns
		require.NotEqual(t, states[i], state)
	}
	require.Zero(t, n.inFlight.Load())
}
