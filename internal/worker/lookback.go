package worker

import "time"

const (
	lookAtLeastEvery = time.Second
	lookCost         = 10 // a look from the start may take a tenth of the time
)

// lookback decides when a queue is read from its start again, instead of from the place up to which this replica has
// consumed it. What was consumed leaves dead rows behind, and stepping over them again and again is what
// makes a queue slow; but rows do appear behind the mark: requeued, promoted, committed late.
//
// Something new may stand behind the mark after a wake-up (hint). Then a claim that finds too little ahead looks back at
// once, and one that finds enough soon. Without a hint it looks back when it has found too little and the last look was
// cheap or long ago, and in any case once a second.
type lookback struct {
	last   time.Time     // when the last look from the start ended
	took   time.Duration // that look
	behind bool          // something may have come since
}

// hint says that something may stand behind the mark.
func (l *lookback) hint() { l.behind = true }

// plan says how the next claim reads: all from the start, or from the mark and then, if rescan, what is missing from the
// start.
func (l *lookback) plan(now time.Time) (full, rescan bool) {
	age := now.Sub(l.last)
	cheap := age >= min(lookCost*l.took, lookAtLeastEvery)
	full = l.last.IsZero() || age >= lookAtLeastEvery || l.behind && cheap
	return full, full || l.behind || cheap
}

// looked notes that the queue was read from its start, completely or as far as there were slots.
func (l *lookback) looked(began, ended time.Time) {
	l.last, l.took, l.behind = ended, ended.Sub(began), false
}
