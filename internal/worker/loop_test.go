package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/taskrunner/taskrunner/internal/task"
)

const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is work with a queue of numbers; everything that happens to it goes through its channels, so the tests decide when.
type shop struct {
	mu      sync.Mutex
	queue   []int
	claims  []int // limits asked for
	failing error // of claims
	bed     bed

	called  chan int   // calls that began
	release chan bool  // lets one call end
	settled chan []int // groups written
	refuse  func([]int) error
}

func newShop(queue ...int) *shop {
	return &shop{queue: queue, called: make(chan int, 1000), release: make(chan bool, 1000), settled: make(chan []int, 1000)}
}

func (s *shop) claim(_ context.Context, limit int, _ bool) (found[int], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = append(s.claims, limit)
	if s.failing != nil {
		return found[int]{}, s.failing
	}
	n := min(limit, len(s.queue))
	items := s.queue[:n]
	s.queue = s.queue[n:]
	return found[int]{items: items, got: n, all: n < limit}, nil
}

func (s *shop) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

func (s *shop) add(numbers ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, numbers...)
}

func (s *shop) call(ctx context.Context, n int) int {
	s.called <- n
	select {
	case <-s.release:
	case <-ctx.Done():
		return -n
	}
	return n
}

func (s *shop) settle(_ context.Context, _ int, numbers []int) error {
	if s.refuse != nil {
		if err := s.refuse(numbers); err != nil {
			return err
		}
	}
	s.settled <- numbers
	return nil
}

func numbered(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte{byte(n)}) }

// start runs a loop over the shop. stop ends its context at once; what it returns waits for its end.
func (s *shop) start(t *testing.T, change func(*work[int, int])) (l *loop[int, int], stop func() (wait func())) {
	t.Helper()
	w := work[int, int]{
		name: "test", slots: 3, batch: 100, claim: s.claim, call: s.call, settle: s.settle,
		lane:     func(int) int { return 0 },
		key:      numbered,
		id:       numbered,
		giveBack: func(context.Context, []uuid.UUID) (bool, error) { return false, nil },
		sleep:    &sleep{store: &s.bed},
		keep:     time.Hour,
		interval: time.Hour, drain: patience,
	}
	if change != nil {
		change(&w)
	}
	l = newLoop(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.run(ctx); close(done) }()
	wait := func() {
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the loop does not stop")
		}
	}
	stop = func() func() { cancel(); return wait }
	t.Cleanup(func() {
		close(s.release) // for whatever still waits
		stop()()
	})
	return l, stop
}

func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func TestClaimsFillTheFreeSlots(t *testing.T) {
	t.Parallel()
	s := newShop(1, 2, 3, 4, 5)
	l, _ := s.start(t, nil)
	for range 3 {
		receive(t, s.called, "call")
	}
	require.Empty(t, s.called, "no more calls than slots")
	require.Eventually(t, func() bool { return l.free.Load() == 0 }, patience, time.Millisecond)
	s.release <- true
	receive(t, s.called, "call in the freed slot")
	receive(t, s.settled, "result")
	s.mu.Lock()
	require.Equal(t, []int{3, 1}, s.claims[:2])
	s.mu.Unlock()
}

func TestBatchSizeBoundsAClaim(t *testing.T) {
	t.Parallel()
	s := newShop(1, 2, 3)
	s.start(t, func(w *work[int, int]) { w.batch = 2 })
	for range 3 {
		receive(t, s.called, "call")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, []int{2, 1}, s.claims[:2])
}

// After a claim that failed, whatever it may have claimed goes back before the next: all but what is called and what is not settled.
func TestFailedClaimsAreGivenBack(t *testing.T) {
	t.Parallel()
	s := newShop(1, 2)
	hold := make(chan struct{})
	s.refuse = func([]int) error { <-hold; return nil }
	given, answers := make(chan []uuid.UUID, 100), make(chan func() (bool, error), 100)
	l, _ := s.start(t, func(w *work[int, int]) {
		w.giveBack = func(_ context.Context, kept []uuid.UUID) (bool, error) {
			given <- kept
			return (<-answers)()
		}
	})
	receive(t, s.called, "call")
	receive(t, s.called, "call")
	s.release <- true // one is being settled, the other is called
	require.Eventually(t, func() bool { return l.free.Load() == 2 }, patience, time.Millisecond)
	require.Empty(t, given)
	s.fail(errAway)
	l.wake()
	both := []uuid.UUID{l.key(1), l.key(2)}
	require.ElementsMatch(t, both, receive(t, given, "kept"))
	s.fail(nil)
	s.add(3)
	answers <- func() (bool, error) { return false, errAway }
	require.ElementsMatch(t, both, receive(t, given, "kept"))
	answers <- func() (bool, error) { return true, nil } // the claim goes on in the database
	require.Equal(t, 3, receive(t, s.called, "call"))
	l.wake()
	require.ElementsMatch(t, append(both, l.key(3)), receive(t, given, "kept"))
	answers <- func() (bool, error) { return false, nil }
	s.add(4)
	l.wake()
	close(hold)
	s.release <- true
	require.Equal(t, 4, receive(t, s.called, "call"))
	require.Empty(t, given, "everything is given back")
}

// Results go in groups of what came while the one before was being written, and one that the database refuses does not
// hold up the rest.
func TestResultsSurviveAnOutage(t *testing.T) {
	t.Parallel()
	s := newShop(1, 2, 3)
	var mu sync.Mutex
	outages := 3
	s.refuse = func([]int) error {
		mu.Lock()
		defer mu.Unlock()
		if outages > 0 {
			outages--
			return errAway
		}
		return nil
	}
	_, stop := s.start(t, nil)
	for range 3 {
		s.release <- true
	}
	var got []int
	for len(got) < 3 {
		got = append(got, receive(t, s.settled, "result")...)
	}
	require.ElementsMatch(t, []int{1, 2, 3}, got)
	stop()()
	require.Empty(t, s.settled, "nothing is written twice")
}

// Somebody who works on the same task is no trouble, unless he holds it for longer than the claim lasts.
func TestResultsWaitForLocks(t *testing.T) {
	t.Parallel()
	for keep, warned := range map[time.Duration]bool{time.Hour: false, -time.Hour: true} {
		s := newShop(1)
		var text bytes.Buffer // of the loop until it has stopped
		tries := 0
		s.refuse = func([]int) error {
			if tries++; tries < 3 {
				return &task.Error{Code: task.CodeBusy, Message: "held"}
			}
			return nil
		}
		_, stop := s.start(t, func(w *work[int, int]) {
			w.keep, w.lasting = keep, func(int) bool { return true }
			w.log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		s.release <- true
		receive(t, s.settled, "result")
		stop()()
		require.Equal(t, warned, strings.Contains(text.String(), "error=held"), text.String())
	}
}

func TestStaleResultsAreDropped(t *testing.T) {
	t.Parallel()
	s := newShop(1)
	s.refuse = func([]int) error { return errAway }
	l, stop := s.start(t, func(w *work[int, int]) { w.keep = 50 * time.Millisecond })
	s.release <- true
	receive(t, s.called, "call")
	stop()() // it ends although the database never comes back
	require.Empty(t, s.settled)
	require.Zero(t, l.backlog.size())
}

// A database that takes no results must not be asked for more and more work.
func TestUnwrittenResultsBoundTheClaims(t *testing.T) {
	t.Parallel()
	s := newShop(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	s.refuse = func([]int) error { return errAway }
	for range 10 {
		s.release <- true
	}
	_, stop := s.start(t, func(w *work[int, int]) { w.keep = 2 * time.Second })
	for range 6 {
		receive(t, s.called, "call")
	}
	require.Never(t, func() bool { return len(s.called) > 0 }, 300*time.Millisecond, 10*time.Millisecond)
	stop()()
}

func TestFailedClaimsAreRepeated(t *testing.T) {
	t.Parallel()
	s := newShop(1)
	s.failing = errors.New("no")
	s.start(t, nil)
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.claims) >= 3
	}, patience, time.Millisecond)
	s.mu.Lock()
	s.failing = nil
	s.mu.Unlock()
	require.Equal(t, 1, receive(t, s.called, "call"))
}

func TestStopWaitsForOpenCalls(t *testing.T) {
	t.Parallel()
	s := newShop(1, 2, 3, 4)
	_, stop := s.start(t, nil)
	for range 3 {
		receive(t, s.called, "call")
	}
	wait := stop()
	for range 3 {
		s.release <- true
	}
	wait()
	var got []int
	for len(s.settled) > 0 {
		got = append(got, <-s.settled...)
	}
	require.ElementsMatch(t, []int{1, 2, 3}, got, "what was open is written, and nothing new is claimed")
}

func TestStopCutsCallsOffAtTheDrainTimeout(t *testing.T) {
	t.Parallel()
	s := newShop(1)
	_, stop := s.start(t, func(w *work[int, int]) { w.drain = 50 * time.Millisecond })
	receive(t, s.called, "call")
	began := time.Now()
	stop()()
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	require.Equal(t, []int{-1}, receive(t, s.settled, "result"), "a call that was given up has a result, too")
}

// A call that nothing reaches must not keep the process from ending.
func TestStopLeavesCallsBehindThatNothingReaches(t *testing.T) {
	t.Parallel()
	s, stuck := newShop(1), make(chan struct{})
	_, stop := s.start(t, func(w *work[int, int]) {
		w.drain = 50 * time.Millisecond
		w.call = func(_ context.Context, n int) int {
			s.called <- n
			<-stuck
			return n
		}
	})
	receive(t, s.called, "call")
	stop()()
	close(stuck)
}
