package worker

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

const (
	// slowCall is how long a call may take for its host to count as quick.
	slowCall = time.Second
	// A circuit opens after so many failures in a row; the pauses until one call finds out grow.
	circuitFailures = 5
	firstOpen       = time.Second
	longestOpen     = 30 * time.Second
	// lookEvery is the least pause between looks for the calls of other hosts when nobody is in trouble. Else there is none, unless
	// they take long, as dead rows in the queue can make them: then it is as long as what they take beyond cheapLook.
	lookEvery = 100 * time.Millisecond
	cheapLook = 50 * time.Millisecond
	// walkEvery is how often a look goes through hosts that are not known, while those that are have enough for all claims. Claims that
	// go past the calls of those in trouble need no look in between.
	walkEvery = 20 * time.Millisecond
	// A host that is idle for so long, and as many as are beyond the limit, are forgotten: they count as new then.
	forgetAfter = 2 * time.Minute
	maxHosts    = 1000
	// maxQuick is how many hosts that are quick a claim knows, those that were called last. The others are like new ones to it.
	maxQuick = 100
	// lookShare is which part of the time looks may take that go on through the hosts without finding enough.
	lookShare = 5
	// maxShown is how many hosts that get no calls the pulse writes down.
	maxShown = 100
)

// hosts share the slots of a loop out among the hosts of its webhooks, so that one that hangs never takes those of the others, and
// leave hosts alone that fail.
//
// A host may have fifteen sixteenths of the slots that the others leave while its answers come soon; one that is slow or failing half
// of them, one that has never answered an eighth, and no more than its equal share while others are busy; at least one. So each that
// takes its share leaves something for the next, and the more the others need, the less a slow one may keep. One that hangs gets
// little even if it comes while nobody else needs the slots: it would keep them until its calls are given up. Those that are not quick
// leave a sixteenth of the slots to those that are, however many there are of them: names of hosts cost nothing.
//
// A circuit per host opens after failures in a row (isAway). Then the host gets no calls, and no try is lost, until after a pause one
// call finds out whether it is back.
type hosts struct {
	slots    int
	passes   bool                      // claims in order go past the calls of hosts without room
	changed  func(to string, open int) // told of each circuit that changes, and how many are not closed now
	circuits atomic.Int32              // that are not closed

	mu     sync.Mutex
	byName map[string]*host
	open   int           // calls
	looked time.Time     // when the last look for the calls of others ended
	took   time.Duration // that look
	enough bool          // the last claim that could look found all that it wanted
	stuck  time.Time     // when one that went past the calls of hosts without room did not
	walked time.Time     // when a look last went through the hosts that are not known
	after  string        // where the next one begins to
}

// host is one receiver. Its fields belong to the lock of hosts, but for the circuit, which has its own.
type host struct {
	name     string
	began    []time.Time // its open calls, in order
	answered bool        // it has, some time
	quick    bool        // its last answer came soon
	used     time.Time   // when it was called last, or answered
	failure  string      // of its last call; "": it worked
	circuit  circuitbreaker.CircuitBreaker[bool]
	opened   atomic.Int32 // times in a row that the circuit has opened
}

func newHosts(slots int, passes bool, changed func(to string, open int)) *hosts {
	if changed == nil {
		changed = func(string, int) {}
	}
	return &hosts{slots: slots, passes: passes, changed: changed, byName: map[string]*host{}}
}

// plan is what the next claim may get.
type plan struct {
	limit int // calls in all; 0: a claim would find nothing
	rooms task.Rooms
	past  bool      // it goes in order, past the calls of those in trouble
	again time.Time // when a host has room that has none now, without any call ending; zero: then only
}

// plan shares out what is free now, at most limit. full: the queue is due to be looked at from its start.
func (h *hosts) plan(now time.Time, limit int, full bool) plan {
	h.mu.Lock()
	defer h.mu.Unlock()
	free := h.slots - h.open
	if free <= 0 {
		return plan{}
	}
	h.forget(now)
	p := plan{limit: min(limit, share(free, true, true))}
	rooms := make(map[string]int, len(h.byName))
	var quick []*host
	best, trouble, known := 0, false, false
	state := h.state(now)
	for name, x := range h.byName {
		room, opensAt := h.room(now, x, state)
		rooms[name] = room
		best, known = max(best, room), true
		if x.isQuick(now) {
			quick = append(quick, x)
		} else {
			trouble = true
		}
		if !opensAt.IsZero() && (p.again.IsZero() || opensAt.Before(p.again)) {
			p.again = opensAt
		}
	}
	// Where all is well, those that are known are served first: looking for others has its price.
	pause := max(h.took-cheapLook, 0)
	if known && !trouble {
		pause = max(pause, lookEvery)
	}
	if h.passes && trouble && h.enough && !full && now.Sub(h.looked) < walkEvery && now.Sub(h.stuck) >= lookEvery {
		p.past = true
	} else if next := h.looked.Add(pause); known && now.Before(next) {
		p.limit = min(p.limit, best)
		if best < limit && (p.again.IsZero() || next.Before(p.again)) {
			p.again = next
		}
	} else {
		p.rooms.Look = true
		if !h.enough || now.Sub(h.walked) >= walkEvery {
			after := h.after
			p.rooms.After = &after
		}
	}
	other := min(share(free, false, false), max(h.slots/(state.busy+1), 1), state.rest, p.limit)
	if other == 0 {
		p.limit = min(p.limit, max(best, 0)) // of no use to anybody else
	}
	slices.SortFunc(quick, func(a, b *host) int { return b.used.Compare(a.used) })
	for i, x := range quick {
		if room := min(rooms[x.name], p.limit); room > 0 && room >= other && (i >= maxQuick || !trouble && room == other) {
			delete(rooms, x.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if room := min(rooms[name], p.limit); room != other || h.byName[name].isQuick(now) {
			p.rooms.Hosts = append(p.rooms.Hosts, name)
			p.rooms.Rooms = append(p.rooms.Rooms, int32(room))
		}
	}
	if other < p.limit || len(p.rooms.Hosts) > 0 { // else nobody can get more than it may
		n := int32(other)
		p.rooms.Other = &n
	}
	return p
}

// claimed notes how a claim with this plan ended, and whether it got all that it wanted. It returns when to claim again in any case: when
// a host has room, or when the look for the calls of others goes on, because it has not come to its end.
func (h *hosts) claimed(began, now time.Time, p plan, left task.Left, filled bool) (again time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.past && !filled {
		h.enough, h.stuck = false, now
		return now
	}
	if p.rooms.Look {
		h.looked, h.took, h.enough = now, now.Sub(began), filled
		if p.rooms.After == nil {
			if !filled {
				return now
			}
			return p.again
		}
		h.walked, h.after = now, left.Passed
		if next := now.Add((lookShare - 1) * h.took); left.Passed != "" && (p.again.IsZero() || next.Before(p.again)) {
			return next
		}
	}
	return p.again
}

// share is how many of free slots one host may have.
func share(free int, answered, quick bool) int {
	switch {
	case quick:
		return max(free-max(free/16, 1), 1)
	case answered:
		return max(free/2, 1)
	}
	return max(free/8, 1)
}

// state is what the room of a host depends on beside itself.
type state struct {
	busy int // hosts that are being called, or were a moment ago
	rest int // further calls that all hosts together may have that are not quick
}

func (h *hosts) state(now time.Time) state {
	s := state{rest: h.slots}
	quick := false
	for _, x := range h.byName {
		if len(x.began) > 0 || now.Sub(x.used) < slowCall {
			s.busy++
		}
		if x.isQuick(now) {
			quick = true
		} else {
			s.rest -= len(x.began)
		}
	}
	if quick && h.slots > 1 {
		s.rest -= max(h.slots/16, 1)
	}
	s.rest = max(s.rest, 0)
	return s
}

// room is how many further calls a host may have: none is 0, and -1 when it is in trouble. opensAt: its circuit is open until then.
func (h *hosts) room(now time.Time, x *host, s state) (room int, opensAt time.Time) {
	quick := x.isQuick(now)
	most := share(h.slots-h.open+len(x.began), x.answered, quick)
	if !quick {
		most = min(most, max(h.slots/max(s.busy, 1), 1))
	}
	room = max(min(most-len(x.began), h.slots-h.open), 0)
	if x.circuit.State() != circuitbreaker.ClosedState {
		room = max(1-len(x.began), 0)
		if pause := x.circuit.RemainingDelay(); pause > 0 {
			room, opensAt = 0, now.Add(pause)
		}
	}
	if !quick {
		room = min(room, s.rest)
		if room == 0 {
			room = -1
		}
	}
	return room, opensAt
}

// isQuick says that its last answer came soon, and that it lets no call wait for longer.
func (x *host) isQuick(now time.Time) bool {
	return x.quick && (len(x.began) == 0 || now.Sub(x.began[0]) < slowCall)
}

// begin notes that a call of a host has its slot. Whoever begins calls it.
func (h *hosts) begin(name string, now time.Time) *host {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.byName[name]
	if x == nil {
		x = &host{name: name}
		x.circuit = h.newCircuit(x)
		h.byName[name] = x
	}
	h.open++
	x.began, x.used = append(x.began, now), now
	return x
}

// call makes a call that has begun. One that was claimed before the circuit opened is made as well.
func (h *hosts) call(x *host, began time.Time, do func() webhook.Result) webhook.Result {
	var r webhook.Result
	made := false
	_, err := failsafe.With(x.circuit).Get(func() (bool, error) {
		r, made = do(), true
		h.end(x, began, r)
		return isAway(r), nil
	})
	if !made && errors.Is(err, circuitbreaker.ErrOpen) {
		r = do()
		h.end(x, began, r)
	}
	return r
}

func (h *hosts) end(x *host, began time.Time, r webhook.Result) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(x.began, began.Equal)
	x.began = slices.Delete(x.began, i, i+1)
	h.open--
	x.used, x.quick, x.failure = now, now.Sub(began) < slowCall, ""
	if isAway(r) {
		x.quick, x.failure = false, r.Error
	} else {
		x.answered = true
	}
}

// isAway says that nobody answered, or that a gateway says so. Other errors come from somebody who is there, and concern the call:
// many receivers may share a host.
func isAway(r webhook.Result) bool {
	if r.StatusCode == nil {
		return r.Class == webhook.Transient && !r.Unsent
	}
	switch *r.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (h *hosts) newCircuit(x *host) circuitbreaker.CircuitBreaker[bool] {
	return circuitbreaker.NewBuilder[bool]().
		HandleResult(true).
		WithFailureThreshold(circuitFailures).
		WithSuccessThreshold(1).
		WithDelayFunc(func(failsafe.ExecutionAttempt[bool]) time.Duration {
			return min(firstOpen<<min(x.opened.Load(), 10), longestOpen)
		}).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) { // the circuit is not locked, and hosts need not be
			switch e.NewState {
			case circuitbreaker.OpenState:
				x.opened.Add(1)
				open := h.circuits.Load()
				if e.OldState == circuitbreaker.ClosedState {
					open = h.circuits.Add(1)
				}
				h.changed("open", int(open))
			case circuitbreaker.HalfOpenState:
				h.changed("half_open", int(h.circuits.Load()))
			case circuitbreaker.ClosedState:
				x.opened.Store(0)
				h.changed("closed", int(h.circuits.Add(-1)))
			}
		}).
		Build()
}

// forget drops hosts that nobody has called for long, and the longest idle ones beyond the limit.
func (h *hosts) forget(now time.Time) {
	var idle []*host
	for _, x := range h.byName {
		if len(x.began) == 0 {
			idle = append(idle, x)
		}
	}
	slices.SortFunc(idle, func(a, b *host) int { return a.used.Compare(b.used) })
	for _, x := range idle {
		if now.Sub(x.used) < forgetAfter && len(h.byName) <= maxHosts {
			return
		}
		delete(h.byName, x.name)
		if x.circuit.State() != circuitbreaker.ClosedState {
			h.changed("closed", int(h.circuits.Add(-1)))
		}
	}
}

// held are hosts that get no further calls now, for people who ask why. A host that has never answered is none of them as long as its
// calls may still turn out to be quick.
func (h *hosts) held(now time.Time) []task.HeldHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	var held []task.HeldHost
	state := h.state(now)
	for _, name := range slices.Sorted(maps.Keys(h.byName)) {
		x := h.byName[name]
		if !x.answered && len(x.began) > 0 && now.Sub(x.began[0]) < slowCall {
			continue
		}
		if room, opensAt := h.room(now, x, state); room <= 0 && len(held) < maxShown {
			one := task.HeldHost{Host: name, Error: x.failure}
			if x.circuit.State() != circuitbreaker.ClosedState {
				at := now
				if !opensAt.IsZero() {
					at = opensAt
				}
				one.OpensAt = &at
			}
			held = append(held, one)
		}
	}
	return held
}
