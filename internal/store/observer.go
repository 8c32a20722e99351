package store

import (
	"time"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Observer is told what the metrics show. Its methods are called by many goroutines and must not block.
type Observer interface {
	// Counted is told after a commit what the transaction has done to tasks, on the goroutine of the call.
	Counted(c task.Counts)
	// Settled is told how many deliveries of a trigger (start, end, cancel) have been delivered, and have failed for good. Starts
	// that failed are among the Counts.
	Settled(trigger string, delivered, failed int64)
	// Overtaken is told of failed tries that do not count, because others have delivered the same, or are sending it now. trigger is
	// end_success, end_failure or cancel.
	Overtaken(trigger string, delivered, sending int64)
	Replayed(deliveries int64)
	// Queried is told of a query that ended, by its name in queries/.
	Queried(query string, slow bool, took time.Duration)
	// WriteFailed is told of a transaction that should have written and did not; progress: reports of PUT.
	WriteFailed(progress bool)
	// PoolExhausted is told of a try to get a connection that found all of them in use until its end.
	PoolExhausted()
}

// Unobserved is an Observer that wants to know nothing.
type Unobserved struct{}

// The methods of [Observer].
func (Unobserved) Counted(task.Counts)                 {}
func (Unobserved) Settled(string, int64, int64)        {}
func (Unobserved) Overtaken(string, int64, int64)      {}
func (Unobserved) Replayed(int64)                      {}
func (Unobserved) Queried(string, bool, time.Duration) {}
func (Unobserved) WriteFailed(bool)                    {}
func (Unobserved) PoolExhausted()                      {}
