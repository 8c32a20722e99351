package worker

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// bed is where the loop of a shop lies down.
type bed struct {
	mu     sync.Mutex
	stands bool
	open   bool // somebody who does not know is at work
	broken int  // calls that will fail
	told   []string
	falls  func(stood bool) // while nothing is locked
}

func (b *bed) FallAsleep(_ context.Context, _ uuid.UUID, _, horizon string) (task.Sleep, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken > 0 {
		b.broken--
		return task.Sleep{}, errAway
	}
	stood := b.stands
	b.stands = true
	if b.falls != nil {
		b.mu.Unlock()
		b.falls(stood)
		b.mu.Lock()
	}
	if !stood {
		b.told = append(b.told, "set")
		return task.Sleep{}, nil
	}
	b.told = append(b.told, "stood "+horizon)
	return task.Sleep{Stood: true, Horizon: "7", Quiet: !b.open}, nil
}

func (b *bed) StayAwake(context.Context, uuid.UUID, string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stands = false
	b.told = append(b.told, "up")
	return nil
}

func (b *bed) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bed) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.told)
}

// looks counts the claims.
func (s *shop) looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.claims)
}

// awaitLooks waits for claims.
func (s *shop) awaitLooks(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return s.looks() >= n }, patience, time.Millisecond)
}

// A loop that finds nothing falls asleep and looks once more. Then it looks when it is notified, once each time.
func TestSoundSleep(t *testing.T) {
	t.Parallel()
	s, notified := newShop(), make(chan struct{}, 1)
	s.start(t, func(w *work[int, int]) { w.notified = notified })
	s.awaitLooks(t, 2)
	for n := range 3 {
		s.add(n + 1)
		notified <- struct{}{}
		require.Equal(t, n+1, receive(t, s.called, "call"))
		s.release <- true
		receive(t, s.settled, "result")
	}
	require.Equal(t, []string{"set", "stood "}, s.bed.said())
	require.Never(t, func() bool { return s.looks() > 5 }, 100*time.Millisecond, 10*time.Millisecond)
}

// What comes between a look that finds nothing and the stamp notifies nobody, and is found by the look behind the stamp.
func TestWorkBeforeTheStamp(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.bed.falls = func(stood bool) {
		if !stood {
			s.add(1)
		}
	}
	s.start(t, nil)
	require.Equal(t, 1, receive(t, s.called, "call"))
	require.Equal(t, []string{"set", "stood "}, s.bed.said())
}

// While somebody is at work who has not seen the stamp it looks again and again, and once more when that one has ended.
func TestWorkOfSomebodyWhoDidNotKnow(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.bed.open = true
	s.start(t, nil)
	s.awaitLooks(t, 5)
	s.bed.change(func() {
		s.bed.open = false
		s.bed.falls = func(bool) { // the last moment for him
			s.bed.change(func() { s.bed.falls = nil })
			s.add(1)
		}
	})
	require.Equal(t, 1, receive(t, s.called, "call"))
	said := s.bed.said()
	require.Equal(t, []string{"set", "stood ", "stood 7", "stood 7"}, said[:4])
	n := s.looks()
	require.Never(t, func() bool { return s.looks() > n+1 }, 100*time.Millisecond, 10*time.Millisecond)
}

// A loop that has its hands full needs no notification. It falls asleep again when there is nothing left.
func TestBusyLoopsStayAwake(t *testing.T) {
	t.Parallel()
	s, notified := newShop(), make(chan struct{}, 1)
	s.start(t, func(w *work[int, int]) { w.notified = notified })
	s.awaitLooks(t, 2)
	s.add(1, 2, 3, 4, 5, 6, 7)
	notified <- struct{}{}
	for range 7 {
		receive(t, s.called, "call")
		s.release <- true
	}
	require.Eventually(t, func() bool { return len(s.bed.said()) >= 5 }, patience, time.Millisecond)
	require.Equal(t, []string{"set", "stood ", "up", "set", "stood "}, s.bed.said()[:5])
}

// The stamp does not survive a crash of the server. Whoever sleeps looks after it now and then.
func TestLostStampsAreSetAgain(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.start(t, func(w *work[int, int]) { w.interval = 20 * time.Millisecond })
	s.awaitLooks(t, 2)
	s.bed.change(func() { s.bed.stands = false })
	require.Eventually(t, func() bool {
		said := s.bed.said()
		return len(said) > 2 && slices.Contains(said[2:], "set") && said[len(said)-1] == "stood 7"
	}, patience, time.Millisecond)
}

// Without notifications it polls as if it had no stamp.
func TestDeafLoopsPoll(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.start(t, func(w *work[int, int]) { w.hears = func() bool { return false } })
	s.awaitLooks(t, 5)
	s.add(1)
	require.Equal(t, 1, receive(t, s.called, "call"))
}

// So does one whose row is not there to be stamped, and one that could not ask.
func TestLoopsThatCannotLieDownPoll(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.bed.broken = 3
	s.bed.falls = func(bool) { s.bed.change(func() { s.bed.stands = false }) }
	s.start(t, nil)
	s.awaitLooks(t, 5)
	s.add(1)
	require.Equal(t, 1, receive(t, s.called, "call"))
}

func TestBusy(t *testing.T) {
	t.Parallel()
	var b busy
	now := time.Now()
	for n := range busyFinds {
		require.False(t, b.is(now), n)
		b.add(now, 1, false)
	}
	require.True(t, b.is(now))
	require.False(t, b.is(now.Add(time.Second)), "long ago")
	b.add(now, 0, false)
	require.False(t, b.is(now), "nothing is left")
	b.add(now, 1, true)
	require.False(t, b.is(now))
	b.add(now.Add(time.Second), 1, true)
	require.True(t, b.is(now.Add(time.Minute)), "no slots, twice")
}
