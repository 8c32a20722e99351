package store

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// testBreaker opens at 3 failures within 10 s and tries again after 5 s.
func testBreaker() (*breaker, *[]BreakerState) {
	var states []BreakerState
	b := newBreaker(Breaker{Failures: 3, Window: 10 * time.Second, Recovery: 5 * time.Second, OnChange: func(to BreakerState) {
		states = append(states, to)
	}})
	return b, &states
}

func (b *breaker) mustBegin(t *testing.T) try {
	t.Helper()
	require.False(t, b.refusing())
	begun, ok := b.begin()
	require.True(t, ok)
	return begun
}

func (b *breaker) mustRefuse(t *testing.T) {
	t.Helper()
	require.True(t, b.refusing())
	_, ok := b.begin()
	require.False(t, ok)
}

func TestBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, states := testBreaker()
		early := b.mustBegin(t)
		for range 3 {
			begun := b.mustBegin(t)
			time.Sleep(4 * time.Second)
			b.broke(begun)
		}
		b.mustRefuse(t)
		b.worked(early) // says nothing about now
		b.mustRefuse(t)
		time.Sleep(5*time.Second - 1)
		b.mustRefuse(t)
		time.Sleep(1)
		probe := b.mustBegin(t)
		b.mustRefuse(t) // one at a time
		time.Sleep(time.Hour)
		b.mustRefuse(t)
		b.ended(probe) // it gave up
		probe = b.mustBegin(t)
		b.broke(probe)
		b.mustRefuse(t)
		time.Sleep(5 * time.Second)
		probe = b.mustBegin(t)
		b.worked(probe)
		for range 2 { // what was before does not count
			b.broke(b.mustBegin(t))
		}
		b.broke(early)
		b.mustBegin(t)
		require.Equal(t, []BreakerState{BreakerOpen, BreakerHalfOpen, BreakerOpen, BreakerHalfOpen, BreakerClosed}, *states)
	})
}

func TestBreakerWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, states := testBreaker()
		for range 20 { // never three within ten seconds, successes or not
			b.broke(b.mustBegin(t))
			b.worked(b.mustBegin(t))
			time.Sleep(5*time.Second + 1)
		}
		require.Empty(t, *states)
		// Tries that hang for longer than the window count when they end.
		var hanging []try
		for range 3 {
			hanging = append(hanging, b.mustBegin(t))
		}
		time.Sleep(time.Minute)
		for _, begun := range hanging {
			b.broke(begun)
		}
		b.mustRefuse(t)
	})
}

// A new connection closes it, whoever has made it, and then its probe says nothing any more.
func TestBreakerReached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, states := testBreaker()
		b.reached()
		for range 3 {
			b.broke(b.mustBegin(t))
		}
		b.mustRefuse(t)
		b.reached()
		b.mustBegin(t)
		for range 3 {
			b.broke(b.mustBegin(t))
		}
		time.Sleep(5 * time.Second)
		probe := b.mustBegin(t)
		b.reached()
		b.broke(probe)
		b.mustBegin(t)
		require.Equal(t, []BreakerState{BreakerOpen, BreakerClosed, BreakerOpen, BreakerHalfOpen, BreakerClosed}, *states)
	})
}

func TestBreakerOff(t *testing.T) {
	t.Parallel()
	b := newBreaker(Breaker{})
	for range 100 {
		b.broke(b.mustBegin(t))
	}
	b.mustBegin(t)
}

// However tries overlap, while it is half open no second one is let through.
func TestBreakerProbesOneByOne(t *testing.T) {
	t.Parallel()
	b := newBreaker(Breaker{Failures: 1, Window: time.Hour, Recovery: time.Nanosecond})
	b.broke(b.mustBegin(t))
	var probes, most int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				begun, ok := b.begin()
				if !ok {
					continue
				}
				mu.Lock()
				probes++
				most = max(most, probes)
				mu.Unlock()
				mu.Lock()
				probes--
				mu.Unlock()
				if rand.IntN(2) == 0 {
					b.broke(begun)
				} else {
					b.ended(begun)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, most)
}
