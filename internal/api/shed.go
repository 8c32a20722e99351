package api

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Why a request was refused though it may be all right.
const (
	shedInFlight = "in_flight" // too many requests, or too much of their bodies, are being worked on
	shedDatabase = "database"  // it is away
)

// enter lets a request in unless there are too many, or they would only wait for a database that is away. Whoever was let
// in must leave.
func (s *server) enter(r *http.Request) error {
	n := s.inFlight.Add(1)
	s.InFlight(1)
	switch {
	case s.MaxInFlight > 0 && n > int64(s.MaxInFlight):
		s.leave()
		return s.shed(r, shedInFlight, "too many requests are in progress")
	case s.DatabaseAway():
		s.leave()
		return s.shed(r, shedDatabase, "the database cannot be reached")
	}
	return nil
}

func (s *server) leave() {
	s.inFlight.Add(-1)
	s.InFlight(-1)
}

// shed is the answer to a request that is refused to keep the others going.
func (s *server) shed(r *http.Request, reason, message string) error {
	s.noteShed(r, reason)
	return &problem{Status: http.StatusServiceUnavailable, Message: message}
}

func (s *server) noteShed(r *http.Request, reason string) {
	callOf(r).shed = true
	s.Shed(reason)
	s.shedding.note(s.log, reason)
}

// shedLog logs once a second that requests are shed, not each of them.
type shedLog struct {
	mu     sync.Mutex
	counts map[string]int // by reason, since the last line
	logged time.Time
}

func (l *shedLog) note(log *slog.Logger, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[string]int{}
	}
	l.counts[reason]++
	if now := time.Now(); now.Sub(l.logged) >= time.Second {
		log.Warn("requests are refused", shedInFlight, l.counts[shedInFlight], shedDatabase, l.counts[shedDatabase])
		l.logged, l.counts = now, nil
	}
}

// Limits on the memory of bodies.
const (
	// freeBody is how much of a body costs nothing, so that small requests, reports above all, never suffer from big ones.
	// Only the number of requests in flight bounds these: 64 MiB with the default of 1000.
	freeBody = 64 << 10
	// leastBudget and budgetBodies are what all larger bodies may have in memory at once, while they are read and worked on:
	// this, or so many of the largest.
	leastBudget  = 256 << 20
	budgetBodies = 4
)

// budget is a number of bytes from which everybody takes and to which everybody gives back. Nobody waits for some.
type budget struct{ taken atomic.Int64 }

// take takes n bytes unless more than most would be taken then.
func (b *budget) take(n, most int64) bool {
	if b.taken.Add(n) > most {
		b.taken.Add(-n)
		return false
	}
	return true
}

func (b *budget) giveBack(n int64) {
	if n != 0 {
		b.taken.Add(-n)
	}
}
