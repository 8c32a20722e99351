// Package groupcommit lets requests that need a commit share one. There is no timer: a group is what arrived while the
// previous one was being written, so a lone request is written at once, and the busier the database is, the larger the
// groups become. One group at a time is written; with more, groups shrink and all lose. Only a group that is being written for
// longer than Overdue keeps nobody waiting: the next ones are written beside it, MaxGroups at once at most.
//
// Requests with equal keys are written in the order of their arrival: at most one of them is in a group, the others follow
// in later groups, unless Join makes one request of them. Those whose key is in an overdue group wait until it has answered.
//
// A group that could not be written (Undone) is taken apart, and its requests are written one by one (alone.go), while
// further groups are written beside them; so is a request that was left out of its group (Held). A key that somebody else holds (Stuck), or whose request takes too long for a group
// (Late), stays out of groups until one of its requests went through alone.
//
// A caller whose context ends before his request was taken leaves the queue, and the queue lets go of his request at once. A
// request that was taken is written, whether or not anybody still waits for the answer. Whose request finds nothing to wait
// for writes it himself, on his goroutine, and stays until it is written: to wake another costs a lone request a tenth of its
// time.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// ErrClosed is the answer to requests that come after Close.
var ErrClosed = errors.New("groupcommit: the queue is closed")

// Config says what requests are and how they are written. K identifies what a request changes, Q is a request, R its answer.
// The small functions (Size, Join, Shared, Held, Undone, Stuck, Late) must neither block nor panic.
type Config[K comparable, Q, R any] struct {
	Key func(Q) K
	// Size is what a request adds to the size of its group. nil: nothing.
	Size func(Q) int
	// MaxItems and MaxSize bound a group, > 0. A request that is larger than MaxSize is a group of its own.
	MaxItems, MaxSize int
	// MaxGroups is how many groups are written at once when all but one are overdue. 0 acts as 1: each waits for the one before.
	MaxGroups int
	// Overdue is how long a group keeps the next one waiting, > 0 if MaxGroups is more than 1.
	Overdue time.Duration
	// Join makes one request of two with the same key, or says that they have to follow each other. nil: they always have to.
	Join func(joined, next Q) (Q, bool)
	// Shared says whether the answer to a joined request is the answer to each of its parts. If not, nothing was written, and
	// the parts are written one after the other. nil: always.
	Shared func(R) bool
	// Held says of an answer of Write that nothing was written of that request because somebody else holds what it needs: it is
	// tried alone. nil: never.
	Held func(R) bool

	// Write writes a group in one transaction and returns the answers in the same order, after the commit.
	Write func(ctx context.Context, group []Q) ([]R, error)
	// Undone says of an error of Write that nothing of the group was written and that its requests may be tried alone. All
	// other errors are the answer to each of them: nobody knows whether they were written.
	Undone func(error) bool
	// WriteAlone writes one request. With patience it goes on trying for that long to get what somebody else holds, and lets
	// the writing itself take as long as it needs; without, it does neither. Different keys are written at once.
	WriteAlone func(ctx context.Context, q Q, patience time.Duration) (R, error)
	// Stuck says of an error of Write or WriteAlone that nothing was written because somebody else holds what it needs.
	Stuck func(error) bool
	// Late says of an error of Write or WriteAlone that nothing was written because it would have taken too long: with
	// patience it may go through. nil: never.
	Late func(error) bool
	// Patience is how long after its arrival a request that is stuck is tried. For one that is late it begins anew.
	Patience time.Duration
	// Grace is how long Close lets writing go on before it cancels the context of Write and WriteAlone.
	Grace time.Duration
}

// Queue collects requests and writes them. It has goroutines only while something waits to be written.
type Queue[K comparable, Q, R any] struct {
	Config[K, Q, R]
	ctx    context.Context // of all writing; ends some time after Close
	cancel context.CancelFunc
	hurry  context.Context // of patient writing; ends with Close
	halt   context.CancelFunc
	work   sync.WaitGroup // goroutines; added to under mu, while closed is false or another one runs

	mu        sync.Mutex
	closed    bool
	waiting   []*item[K, Q, R]       // in order of arrival
	turn      bool                   // run is at work on a group that is not overdue: the next one waits for it
	flying    int                    // groups that are being written
	aside     map[K][]*item[K, Q, R] // keys of overdue groups: what waits, in order of arrival, for those to end
	left      int                    // requests in waiting, aside and lanes whose callers have left
	mostLeft  int                    // so many are cleared away
	lanes     map[K]*lane[K, Q, R]
	fresh     []K  // lanes to be tried for the first time
	repeating bool // repeat is at work
}

// item is a request that waits for its answer.
type item[K comparable, Q, R any] struct {
	key     K
	request Q
	size    int
	arrived time.Time      // its patience counts from here
	answer  chan result[R] // one answer, buffered

	// Under Queue.mu.
	taken bool // it is being written
	left  bool // its caller does not wait any more, and it was not taken: never write it; the request is gone
	alone bool // not to be joined with others
}

type result[R any] struct {
	answer R
	err    error
}

// unit is what is written as one request: an item, or several joined.
type unit[K comparable, Q, R any] struct {
	key     K
	request Q
	parts   []*item[K, Q, R]
}

// group is what is written at once.
type group[K comparable, Q, R any] struct {
	units []*unit[K, Q, R]

	// Under Queue.mu.
	overdue bool // it keeps nobody waiting but those of its keys
	ended   bool
}

// So many requests of callers that have left are not worth clearing away.
const fewLeft = 64

// New returns a queue. Close it at the end.
func New[K comparable, Q, R any](c Config[K, Q, R]) *Queue[K, Q, R] {
	c.MaxGroups = max(c.MaxGroups, 1)
	q := &Queue[K, Q, R]{Config: c, aside: map[K][]*item[K, Q, R]{}, lanes: map[K]*lane[K, Q, R]{}, mostLeft: fewLeft}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.hurry, q.halt = context.WithCancel(q.ctx)
	return q
}

// Do writes a request and returns its answer after the commit. An error is one of Write or WriteAlone, ErrClosed, or that of
// the context: then the request may still be written, if it had been taken.
func (q *Queue[K, Q, R]) Do(ctx context.Context, request Q) (R, error) {
	var none R
	if err := ctx.Err(); err != nil {
		return none, err
	}
	it := &item[K, Q, R]{
		key: q.Key(request), request: request, arrived: time.Now(), answer: make(chan result[R], 1),
	}
	if q.Size != nil {
		it.size = q.Size(request)
	}
	lone, ok := q.enqueue(it)
	if !ok {
		return none, ErrClosed
	}
	if lone {
		q.lead()
	}
	select {
	case r := <-it.answer:
		return r.answer, r.err
	case <-ctx.Done():
	}
	q.leave(it)
	select {
	case r := <-it.answer: // both at once
		return r.answer, r.err
	default:
		return none, ctx.Err()
	}
}

// enqueue adds a request to the queue, unless that is closed. If nothing keeps it waiting its caller is to lead.
func (q *Queue[K, Q, R]) enqueue(it *item[K, Q, R]) (lone, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, false
	}
	q.waiting = append(q.waiting, it)
	if !q.ready() {
		return false, true
	}
	q.turn = true
	q.work.Add(1)
	return true, true
}

// leave lets go of a request whose caller has left, if it was not taken. What remains of it is cleared away when they are many,
// compared with all that is looked through, so that each costs the same however much that is.
func (q *Queue[K, Q, R]) leave(it *item[K, Q, R]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.taken {
		return
	}
	var none Q
	it.left, it.request, it.size = true, none, 0
	if q.left++; q.left < q.mostLeft {
		return
	}
	stay := func(list []*item[K, Q, R]) []*item[K, Q, R] {
		return slices.Clip(slices.DeleteFunc(list, func(it *item[K, Q, R]) bool { return it.left }))
	}
	q.waiting = stay(q.waiting)
	q.left, q.mostLeft = 0, len(q.waiting)+len(q.aside)+len(q.lanes)
	for k, list := range q.aside {
		q.aside[k] = stay(list)
		q.mostLeft += len(q.aside[k])
	}
	for _, l := range q.lanes {
		l.items = stay(l.items)
		q.mostLeft += len(l.items)
	}
	q.mostLeft = max(q.mostLeft/2, fewLeft)
}

// ready says that a group may be written: something waits, and no other group keeps it waiting. Needs mu.
func (q *Queue[K, Q, R]) ready() bool {
	return !q.turn && q.flying < q.MaxGroups && len(q.waiting) > 0
}

// wake has a group written, if none keeps it waiting. Needs mu.
func (q *Queue[K, Q, R]) wake() {
	if q.ready() {
		q.turn = true
		q.work.Go(q.run)
	}
}

// lead writes a group on the goroutine of its first caller, who would only wait for another one; what arrives meanwhile is
// left to run.
func (q *Queue[K, Q, R]) lead() {
	defer q.work.Done()
	if g := q.take(); g != nil && q.writeInTime(g) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.turn = false
		q.wake()
	}
}

// Close refuses further requests, writes those that wait, and returns when all goroutines have ended. Requests that are
// stuck are given up.
func (q *Queue[K, Q, R]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.halt()
	timer := time.AfterFunc(q.Grace, q.cancel)
	q.work.Wait()
	timer.Stop()
	q.cancel()
}

// run writes groups until nothing waits or its group is overdue.
func (q *Queue[K, Q, R]) run() {
	for turn := true; turn; {
		g := q.take()
		if g == nil {
			return
		}
		turn = q.writeInTime(g)
	}
}

// writeInTime writes a group, lets the next one pass when it is overdue, and reports whether it was not.
func (q *Queue[K, Q, R]) writeInTime(g *group[K, Q, R]) bool {
	if q.MaxGroups > 1 {
		defer time.AfterFunc(q.Overdue, func() { q.pass(g) }).Stop()
	}
	return q.write(g)
}

// pass lets the next group go on beside one that is overdue.
func (q *Queue[K, Q, R]) pass(g *group[K, Q, R]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if g.ended {
		return
	}
	g.overdue = true
	for _, u := range g.units {
		q.aside[u.key] = nil
	}
	q.turn = false
	q.wake()
}

// take makes a group of what has arrived. When there is none, run has ended.
func (q *Queue[K, Q, R]) take() *group[K, Q, R] {
	q.mu.Lock()
	defer q.mu.Unlock()
	var (
		units []*unit[K, Q, R]
		later []*item[K, Q, R]
		items int
		size  int
	)
	const barred = -1 // a request of this key has to wait for the next group, and so have all that follow it
	index := make(map[K]int, min(len(q.waiting), q.MaxItems))
	for n, it := range q.waiting {
		if it.left {
			q.left--
			continue
		}
		if list, ok := q.aside[it.key]; ok {
			q.aside[it.key] = append(list, it)
			continue
		}
		if l := q.lane(it.key); l != nil {
			l.items = append(l.items, it)
			q.schedule(it.key, l)
			continue
		}
		if items == q.MaxItems || items > 0 && size+it.size > q.MaxSize {
			later = append(later, q.waiting[n:]...)
			break
		}
		i, known := index[it.key]
		switch {
		case !known:
			index[it.key] = len(units)
			units = append(units, &unit[K, Q, R]{key: it.key, request: it.request, parts: []*item[K, Q, R]{it}})
		case i != barred && q.join(units[i], it):
		default:
			index[it.key] = barred
			later = append(later, it)
			continue
		}
		it.taken = true
		items++
		size += it.size
	}
	q.waiting = later
	if len(units) == 0 {
		q.turn = false
		return nil
	}
	q.flying++
	return &group[K, Q, R]{units: units}
}

// join adds a request to a unit, if they can be one.
func (q *Queue[K, Q, R]) join(u *unit[K, Q, R], it *item[K, Q, R]) bool {
	if q.Join == nil || it.alone || u.parts[0].alone {
		return false
	}
	joined, ok := q.Join(u.request, it.request)
	if ok {
		u.request = joined
		u.parts = append(u.parts, it)
	}
	return ok
}

// write writes a group, answers its requests or leaves them to be written alone, and reports whether it kept the next group
// waiting until then.
func (q *Queue[K, Q, R]) write(g *group[K, Q, R]) bool {
	requests := make([]Q, len(g.units))
	for i, u := range g.units {
		requests[i] = u.request
	}
	answers, err := guard(func() ([]R, error) { return q.Write(q.ctx, requests) })
	if err == nil && len(answers) != len(g.units) {
		err = fmt.Errorf("groupcommit: %d answers to %d requests", len(answers), len(g.units))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	g.ended = true
	q.flying--
	switch {
	case err == nil:
		for i, u := range g.units {
			if q.Held != nil && q.Held(answers[i]) {
				q.putBack(u)
			} else {
				q.settle(u, answers[i])
			}
		}
	case q.Undone(err) && (len(g.units) > 1 || len(g.units[0].parts) > 1 || q.Stuck(err) || q.late(err)):
		for _, u := range g.units {
			q.again(u, err)
		}
	default:
		for _, u := range g.units {
			fail(u.parts, err)
		}
	}
	if g.overdue {
		q.release(g)
	}
	return !g.overdue
}

// release lets those go on that waited for an overdue group. What was put back into lanes is there already. Needs mu.
func (q *Queue[K, Q, R]) release(g *group[K, Q, R]) {
	var back []*item[K, Q, R]
	for _, u := range g.units {
		back = append(back, q.aside[u.key]...)
		delete(q.aside, u.key)
	}
	q.waiting = append(back, q.waiting...) // they came before all others of their keys that wait
	q.wake()
}

// settle answers the parts of a unit, or leaves them to be written alone. Needs mu.
func (q *Queue[K, Q, R]) settle(u *unit[K, Q, R], answer R) {
	if len(u.parts) > 1 && q.Shared != nil && !q.Shared(answer) {
		for _, it := range u.parts {
			it.alone = true // none joined with another
		}
		q.putBack(u)
		return
	}
	for _, it := range u.parts {
		it.answer <- result[R]{answer: answer}
	}
}

func (q *Queue[K, Q, R]) late(err error) bool { return q.Late != nil && q.Late(err) }

func fail[K comparable, Q, R any](items []*item[K, Q, R], err error) {
	for _, it := range items {
		it.answer <- result[R]{err: err}
	}
}

// guard makes an error of a panic, after which nobody knows what was written.
func guard[T any](f func() (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("groupcommit: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
