// Package worker starts tasks and delivers the webhooks that are owed for them: two loops of one shape (loop.go), each
// claiming from the database what it has free slots for, calling the webhooks side by side, and writing the results back
// in groups. What a result means for its task is decided in SQL.
//
//	claim ──▶ calls, at most one per slot ──▶ settle
//	  ▲                                         │
//	  └── a notification, the pulse, a timer    └── in groups, tried again until the claim is stale
//
// A loop with nothing to do falls asleep (sleep.go): from there on whoever makes work notifies it, and it claims once for each
// notification. One that finds much stays awake and comes by every few milliseconds, which spares everybody the notifications.
//
// A loop stops in two steps. When its context ends it claims no more; calls that are open then have the drain timeout,
// after which they are given up. Results are written back in any case, with a time limit of their own.
package worker

import "time"

// Observer is told what the metrics show. Its methods must not block.
type Observer interface {
	Claimed(n int, took time.Duration) // by the start loop
	Woken(source string)               // ByNotify or ByPoll
	// CircuitChanged is told that the circuit of a host is now open, half_open or closed, and how many of the loop (start, deliver)
	// are not closed.
	CircuitChanged(loop, to string, open int)
}

// circuitsOf tells an observer, which may be nil, of the circuits of a loop.
func circuitsOf(o Observer, loop string) func(to string, open int) {
	if o == nil {
		return nil
	}
	return func(to string, open int) { o.CircuitChanged(loop, to, open) }
}

// What woke a loop.
const (
	ByNotify = "notify"
	ByPoll   = "poll" // its own timer, or the pulse
)
