// Package outage logs something that is tried again and again: that it fails, once, and that it works again.
package outage

import (
	"log/slog"
	"time"
)

// repeatEvery is how often a failure that goes on is logged again.
const repeatEvery = time.Minute

// Log is the state of one thing that is tried. It belongs to one goroutine.
type Log struct {
	log    *slog.Logger
	what   string
	since  time.Time // of the first failure in a row; zero while it works
	logged time.Time
	tries  int
}

// New makes a log of something, named as in "claim tasks".
func New(log *slog.Logger, what string) *Log { return &Log{log: log, what: what} }

// Failed notes a failure.
func (l *Log) Failed(err error) {
	now := time.Now()
	if l.tries == 0 {
		l.since = now
	}
	l.tries++
	if l.tries > 1 && now.Sub(l.logged) < repeatEvery {
		l.log.Debug("failed again", "operation", l.what, "tries", l.tries, "error", err)
		return
	}
	l.logged = now
	l.log.Warn("failed, trying again", "operation", l.what, "tries", l.tries, "error", err)
}

// Worked notes a success.
func (l *Log) Worked() {
	if l.tries == 0 {
		return
	}
	l.log.Info("works again", "operation", l.what, "tries", l.tries, "after", time.Since(l.since).Round(time.Millisecond))
	l.tries = 0
}

// Failing reports whether the last try failed.
func (l *Log) Failing() bool { return l.tries > 0 }
