package groupcommit

import "time"

// A lane is a key whose requests are written alone, one after the other, because a group with one of them could not be
// written. First repeat tries each new lane once, without waiting, in one goroutine for all. Who is stuck or late then waits
// with patience in a goroutine of its own, so that he delays nobody. As soon as a request went through, the rest of the lane
// goes back to the groups. A lane of which none went through remains for a while, so that the next one does not hold up a
// group.
type lane[K comparable, Q, R any] struct {
	items   []*item[K, Q, R] // in order of arrival
	busy    bool             // it stands in fresh, or a goroutine writes its first items
	expires time.Time        // when an idle lane is forgotten
}

// An idle lane is remembered for laneLife; more than laneSweep of them are looked through when one is added.
const (
	laneLife  = time.Minute
	laneSweep = 1000
)

// lane returns the lane of a key, nil if it has none. Needs mu.
func (q *Queue[K, Q, R]) lane(k K) *lane[K, Q, R] {
	if len(q.lanes) == 0 {
		return nil
	}
	l := q.lanes[k]
	if l != nil && l.forgotten(time.Now()) {
		delete(q.lanes, k)
		return nil
	}
	return l
}

func (l *lane[K, Q, R]) forgotten(now time.Time) bool { return !l.busy && now.After(l.expires) }

// again leaves a unit to be tried again, alone. Needs mu.
func (q *Queue[K, Q, R]) again(u *unit[K, Q, R], err error) {
	if q.late(err) {
		for _, it := range u.parts {
			it.arrived = time.Now()
		}
	}
	q.putBack(u)
}

// putBack puts a unit of which nothing was written at the head of its lane. Needs mu.
func (q *Queue[K, Q, R]) putBack(u *unit[K, Q, R]) {
	l, ok := q.lanes[u.key]
	if !ok {
		q.sweep()
		l = &lane[K, Q, R]{}
		q.lanes[u.key] = l
	}
	for _, it := range u.parts {
		it.taken = false
	}
	l.items = append(u.parts[:len(u.parts):len(u.parts)], l.items...)
	q.schedule(u.key, l)
}

// sweep forgets idle lanes, if there are many. Needs mu.
func (q *Queue[K, Q, R]) sweep() {
	if len(q.lanes) < laneSweep {
		return
	}
	now := time.Now()
	for k, l := range q.lanes {
		if l.forgotten(now) {
			delete(q.lanes, k)
		}
	}
}

// schedule has a lane tried, if nobody is at it. Needs mu.
func (q *Queue[K, Q, R]) schedule(k K, l *lane[K, Q, R]) {
	if l.busy {
		return
	}
	l.busy = true
	q.fresh = append(q.fresh, k)
	if !q.repeating {
		q.repeating = true
		q.work.Go(q.repeat)
	}
}

// repeat tries each new lane once.
func (q *Queue[K, Q, R]) repeat() {
	for {
		q.mu.Lock()
		if len(q.fresh) == 0 {
			q.repeating = false
			q.mu.Unlock()
			return
		}
		k := q.fresh[0]
		q.fresh = q.fresh[1:]
		q.mu.Unlock()
		if u := q.first(k); u != nil {
			answer, err := guard(func() (R, error) { return q.WriteAlone(q.ctx, u.request, 0) })
			if err != nil && (q.Stuck(err) || q.late(err)) {
				q.mu.Lock()
				q.again(u, err)
				q.mu.Unlock()
				q.work.Go(func() { q.wait(k) })
				continue
			}
			q.through(u, answer, err)
		}
	}
}

// wait writes a lane whose first request is stuck, with patience, until one goes through or all have waited long enough.
func (q *Queue[K, Q, R]) wait(k K) {
	for u := q.first(k); u != nil; u = q.first(k) {
		patience := max(q.Patience-time.Since(u.parts[0].arrived), time.Nanosecond)
		answer, err := guard(func() (R, error) { return q.WriteAlone(q.hurry, u.request, patience) })
		if err == nil || !q.Stuck(err) && q.hurry.Err() == nil {
			q.through(u, answer, err)
			return
		}
		// Those that came later have a right to be tried longer.
		q.mu.Lock()
		q.putBack(u)
		l := q.lanes[k]
		over := 1
		for over < len(l.items) && (q.hurry.Err() != nil || time.Since(l.items[over].arrived) >= q.Patience) {
			over++
		}
		given := l.items[:over:over]
		l.items = l.items[over:]
		for _, it := range given {
			it.taken = true
		}
		q.mu.Unlock()
		fail(given, err)
	}
}

// first takes the first requests of a lane. Without any, the lane is idle.
func (q *Queue[K, Q, R]) first(k K) *unit[K, Q, R] {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[k]
	var u *unit[K, Q, R]
	rest := l.items[:0:0]
	for n, it := range l.items {
		switch {
		case it.left:
			q.left--
			continue
		case u == nil:
			u = &unit[K, Q, R]{key: k, request: it.request, parts: []*item[K, Q, R]{it}}
		case !q.join(u, it):
			rest = append(rest, l.items[n:]...)
		}
		if len(rest) > 0 {
			break
		}
		it.taken = true
	}
	l.items = rest
	if u == nil {
		l.busy = false
		l.expires = time.Now().Add(laneLife)
	}
	return u
}

// through answers the first unit of a lane, and gives the rest back to the groups.
func (q *Queue[K, Q, R]) through(u *unit[K, Q, R], answer R, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.settle(u, answer)
	} else {
		fail(u.parts, err)
	}
	l := q.lanes[u.key]
	l.busy = false
	if len(l.items) > 0 && l.items[0].alone {
		q.schedule(u.key, l)
		return
	}
	delete(q.lanes, u.key)
	q.waiting = append(l.items, q.waiting...) // they came before all others of their key that wait
	q.wake()
}
