package modeltest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSequential runs one operation after the other, over several connections, and compares the whole database with the
// model after each.
func TestSequential(t *testing.T) {
	deadline := time.Now().Add(budget(t) / 2)
	w := newWorld(t)
	clients := []*client{w.newClient(), w.newClient()}
	for _, c := range clients {
		defer c.close()
	}
	counts := newStats()
	failing := false // rapid is looking for a smaller example, whatever the time
	property := func(rt *rapid.T) {
		if !failing && time.Now().After(deadline) {
			return
		}
		defer func() { failing = failing || rt.Failed() }()
		w.reset(t)
		s := &sequential{
			w: w, clients: clients, counts: counts, k: newKnown(), m: newModel(w.users, startTries, deliveryTries),
		}
		s.m.exact = true
		counts.graphs++
		d := &drawer{k: s.k, alone: true, weights: plainWeights(), entries: 8, room: 30}
		rt.Repeat(map[string]func(*rapid.T){
			"operation": func(rt *rapid.T) {
				kind := scattered(rt, sum(d.weights), "kind")
				d.source = seeded(rapid.Uint64().Draw(rt, "seed"))
				if name, o := d.next(kind); o != nil {
					s.do(rt, name, o)
				}
			},
		})
		if err := finishAll(s.m, s.k, func(o op) { s.do(rt, "the end", o) }); err != nil {
			s.fail(rt, "not all tasks come to an end", err.Error())
		}
		if broken := s.w.invariants(rt); len(broken) > 0 {
			s.fail(rt, "invariants are broken", broken...)
		}
	}
	for time.Now().Before(deadline) && !t.Failed() {
		rapid.Check(t, property)
	}
	t.Logf("%v", counts)
	counts.checkCoverage(t, func(string) bool { return true })
}

// sequential is one run of TestSequential.
type sequential struct {
	w       *world
	clients []*client
	counts  *stats
	k       *known
	m       *model
	n       int
}

// fail ends the run. rapid takes two runs for the same failure only if their messages are equal, so what is special about
// this one goes to the log.
func (s *sequential) fail(rt *rapid.T, what string, details ...string) {
	rt.Helper()
	rt.Logf("%s:\n  %s\nthe model:\n%s", what, strings.Join(details, "\n  "), s.m.graph())
	rt.Fatal(what)
}

// do runs an operation and compares.
func (s *sequential) do(rt *rapid.T, kind string, o op) {
	rt.Helper()
	s.n++
	got, err := s.clients[s.n%len(s.clients)].do(o, true, 0)
	rt.Logf("%3d %v: %s", s.n, o, orElse(got.code, "done"))
	if err == nil && (got.lost || got.open) {
		err = errors.New("the connection was lost")
	}
	if err != nil {
		s.fail(rt, "the operation ended in an error", err.Error())
	}
	s.m.begin()
	on, see := s.m, look{fresh: true, queue: true, due: true, leases: true, rules: true}
	if got.code == "" {
		s.counts.add(kind, "done")
	} else {
		s.counts.add(kind, "refused")
		on, see.fresh = s.m.clone(), false
		got.seen = s.w.all(rt)
	}
	before := s.m.graph()
	v, err := o.apply(on, got.seen)
	if err != nil {
		s.fail(rt, "the answer is wrong", err.Error(), "before:", before)
	}
	if !v.fits(got.code) {
		s.fail(rt, fmt.Sprintf("the database answers %q, the contract %q", got.code, v))
	}
	faults := s.m.differAll(got.seen, see)
	if got.code == "" {
		faults = append(faults, s.m.differNotes(got.seen)...)
	}
	if faults != nil {
		s.fail(rt, "database and model differ", append(faults, "before:", before)...)
	}
	s.k.learn(o, got.seen)
}
