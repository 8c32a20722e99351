package notify

// Signal wakes one loop. Any number of goroutines set it, the loop alone reads it; signals that come while one is
// pending are one. Setting never blocks.
type Signal chan struct{}

// NewSignal returns a signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set wakes the loop now, or as soon as it looks.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default: // it is pending already
	}
}
