package app

import (
	"sync"
	"time"
)

// tallyEvery is how often something that is counted is logged at most.
const tallyEvery = time.Second

// tally counts what may happen very often and is worth a line of the log: one for all of a second.
type tally struct {
	report func(n int64)

	mu    sync.Mutex
	count int64
	timer *time.Timer // nil: none is waiting
}

func newTally(report func(n int64)) *tally { return &tally{report: report} }

// add notes that it happened n times.
func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count += n
	if t.timer == nil {
		t.timer = time.AfterFunc(tallyEvery, t.flush)
	}
}

// flush reports what has not been reported.
func (t *tally) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	if t.count > 0 {
		t.report(t.count)
		t.count = 0
	}
}
