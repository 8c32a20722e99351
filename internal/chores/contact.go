package chores

import (
	"sync"
	"time"
)

// maxGap is the longest time between two answers of the database that counts as uninterrupted contact. With it, a stall
// that hit everybody leaves no heartbeat older than silence: one beat before the stall, the gap, and some room.
const maxGap = silence / 2

// contact is the history of this replica's own contact with the database. If that was interrupted, the others' may have
// been as well: their heartbeats are old because nobody could write, and they need time to write again. So a replica
// judges nobody for its first 5 s (contract, section 5.4).
type contact struct {
	mu    sync.Mutex
	since time.Time // of the present uninterrupted contact; zero: there is none
	last  time.Time // answer
}

func (c *contact) answered(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() || now.Sub(c.last) > maxGap {
		c.since = now
	}
	c.last = now
}

func (c *contact) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Time{}
}

// steady reports whether this replica may judge others.
func (c *contact) steady(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.since.IsZero() && now.Sub(c.last) <= maxGap && c.last.Sub(c.since) >= silence
}
