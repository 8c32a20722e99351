package store

import (
	"sync"
	"time"
)

// BreakerState is what a breaker does.
type BreakerState string

// A breaker lets all tries through, or none, or one that finds out.
const (
	BreakerClosed   BreakerState = "closed"
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half_open"
)

// Breaker says when a Store fails at once instead of trying to get a connection (contract, section 10).
type Breaker struct {
	Failures int           // so many tries that fail within Window open it; 0: never
	Window   time.Duration // > 0
	Recovery time.Duration // > 0; so long after it opened, one try is let through, and its success closes it, as does any new connection
	// OnChange is told of each change of state, in order. It must not call the Store. May be nil.
	OnChange func(to BreakerState)
}

// breaker is the state of a Breaker. (sony/gobreaker dates a try by its beginning, so with it a try that hangs for longer
// than the window never counts, and those are the ones that matter.)
type breaker struct {
	Breaker

	mu         sync.Mutex
	state      BreakerState
	failed     []time.Time // when the last tries failed, a ring of as many as open it
	oldest     int         // index of the oldest in it
	openedAt   time.Time
	probing    bool // half open, and the one try is under way
	generation int  // counts changes of state
}

func newBreaker(b Breaker) *breaker {
	if b.OnChange == nil {
		b.OnChange = func(BreakerState) {}
	}
	return &breaker{Breaker: b, state: BreakerClosed, failed: make([]time.Time, b.Failures)}
}

// try is one try that was let through. Whoever was given one must end it.
type try struct{ generation int }

// begin lets a try through, or says no.
func (b *breaker) begin() (try, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuses() {
		return try{}, false
	}
	if b.state == BreakerOpen {
		b.become(BreakerHalfOpen)
	}
	b.probing = b.state == BreakerHalfOpen
	return try{b.generation}, true
}

// worked ends a try that was successful.
func (b *breaker) worked(t try) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.generation == b.generation && b.state == BreakerHalfOpen {
		b.become(BreakerClosed)
	}
}

// broke ends a try that failed.
func (b *breaker) broke(t try) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.generation != b.generation || b.Failures == 0 {
		return // it began under other circumstances
	}
	now := time.Now()
	if b.state == BreakerHalfOpen {
		b.openedAt = now
		b.become(BreakerOpen)
		return
	}
	b.failed[b.oldest] = now
	b.oldest = (b.oldest + 1) % len(b.failed)
	if first := b.failed[b.oldest]; !first.IsZero() && now.Sub(first) <= b.Window {
		b.openedAt = now
		b.become(BreakerOpen)
	}
}

// ended ends a try of which it is not known whether it would have worked.
func (b *breaker) ended(t try) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.generation == b.generation {
		b.probing = false // another one finds out
	}
}

// reached closes it: somebody has made a new connection, one of the loops perhaps, who are not subject to it. Waiting for the end
// of Recovery would keep requests from a database that is back.
func (b *breaker) reached() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != BreakerClosed {
		b.become(BreakerClosed)
	}
}

// refusing reports whether a try would be refused now.
func (b *breaker) refusing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuses()
}

func (b *breaker) refuses() bool {
	return b.state == BreakerOpen && time.Since(b.openedAt) < b.Recovery || b.probing
}

func (b *breaker) become(state BreakerState) {
	b.state, b.probing = state, false
	b.generation++
	clear(b.failed)
	b.OnChange(state)
}
