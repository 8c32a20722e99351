package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/outage"
)

const (
	// queryTimeout bounds a claim and the writing of a group, beyond what the stop of the loop would bound.
	queryTimeout = 10 * time.Second
	// settleGrace is how long results may be written after the drain timeout has cut the calls off.
	settleGrace = 5 * time.Second
	// longestErrorPause bounds the pauses between claims that fail.
	longestErrorPause = 5 * time.Second
)

// idlePolls are the pauses after which a loop that found nothing looks again, before it falls back to its interval. Only a look from
// the start stamps it as idle, so that it is notified; it may be made 20 ms after the one before if that took 2 ms (lookback).
var idlePolls = [...]time.Duration{5 * time.Millisecond, 15 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond}

// work is what one loop does. claim is called by one goroutine at a time, call and lane by many.
type work[C, R any] struct {
	name  string
	slots int // most calls at the same time, > 0
	batch int // most claimed in one step, > 0

	// claim gets at most limit. woken: something new may be there.
	claim func(ctx context.Context, limit int, woken bool) (found[C], error)
	call  func(ctx context.Context, item C) R
	// settle writes results back, all of one lane and with different keys.
	settle func(ctx context.Context, lane int, results []R) error
	lane   func(R) int
	key    func(R) uuid.UUID
	keep   time.Duration // how long after its claim a result is of use
	// lasting says which results are of use even later; nil: none.
	lasting func(R) bool

	interval time.Duration   // fallback poll, > 0
	drain    time.Duration   // how long open calls may go on at a stop
	notified <-chan struct{} // written by the listener; may be nil
	observer Observer
	log      *slog.Logger
}

// loop runs the work. Its fields belong to the goroutine of run, but for the atomic ones.
type loop[C, R any] struct {
	work[C, R]
	nudge notify.Signal // written by wake

	claimed chan claimed[C]  // written by the one claim that is open
	results chan result[R]   // written by calls; has room for all, so a call never waits
	settled chan error       // written by the one settle that is open
	poll    *time.Timer      // when to claim though nobody woke the loop
	retry   *time.Timer      // when to look at the backlog again
	limit   <-chan time.Time // while stopping: the end of the drain timeout, then of the grace
	backlog backlog[R]       //
	cutCall func()           // gives up open calls
	cutAll  func()           // gives up everything
	ctx     context.Context  //nolint:containedctx // of the loop: its end ends claiming
	calls   context.Context  //nolint:containedctx // of open calls
	queries context.Context  //nolint:containedctx // of claims and settles
	trouble map[string]*outage.Log

	running  int
	claiming bool
	want     bool // claim as soon as a slot is free
	woken    bool // something new may be there since the last claim began
	held     bool // the last claim left out what waits for a call to end
	misses   int  // claims in a row that found nothing
	failures int  // claims in a row that failed
	stopping bool

	free atomic.Int64 // slots; read by the pulse
	idle atomic.Bool  // the last claim found nothing; read by the pulse
}

// found is what a claim got.
type found[C any] struct {
	items []C       // to be called
	got   int       // in all; as many as were asked for means that there may be more
	held  bool      // others wait until calls to their host have ended
	again time.Time // others wait until then; zero: nobody does
}

// claimed is how a claim ended.
type claimed[C any] struct {
	found[C]
	limit int
	began time.Time
	err   error
}

func newLoop[C, R any](w work[C, R]) *loop[C, R] {
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.log = w.log.With("component", w.name)
	l := &loop[C, R]{
		work: w, nudge: notify.NewSignal(),
		claimed: make(chan claimed[C], 1), results: make(chan result[R], w.slots), settled: make(chan error, 1),
		trouble: map[string]*outage.Log{"claim": outage.New(w.log, "claim"), "settle": outage.New(w.log, "write results")},
	}
	l.free.Store(int64(w.slots))
	return l
}

// wake makes the loop look for work now.
func (l *loop[C, R]) wake() { l.nudge.Set() }

// run works until the context ends, then until what is open is done or the time for that is over.
func (l *loop[C, R]) run(ctx context.Context) {
	l.log.Debug("loop started")
	defer l.log.Debug("loop stopped")
	l.ctx = ctx
	base := context.WithoutCancel(ctx)
	l.calls, l.cutCall = context.WithCancel(base)
	l.queries, l.cutAll = context.WithCancel(base)
	defer l.cutCall()
	defer l.cutAll()
	l.poll, l.retry = time.NewTimer(0), time.NewTimer(time.Hour)
	defer l.poll.Stop()
	defer l.retry.Stop()

	stop := ctx.Done()
	for {
		select {
		case <-stop:
			stop = nil
			l.stop()
		case <-l.limit:
			l.cut()
		case <-l.notified:
			l.wakeUp(ByNotify)
		case <-l.nudge:
			l.wakeUp(ByPoll)
		case <-l.poll.C:
			l.want = true
			if l.observer != nil {
				l.observer.Woken(ByPoll)
			}
		case c := <-l.claimed:
			l.noteClaim(c)
		case r := <-l.results:
			l.running--
			l.want = l.want || l.held
			l.backlog.add(r)
		case err := <-l.settled:
			l.noteSettled(err)
		case <-l.retry.C:
		}
		l.startSettle()
		l.startClaim()
		// Whoever is left when everything was given up hangs where nothing reaches it; the channels have room for it.
		if l.stopping && (l.queries.Err() != nil || !l.claiming && l.running == 0 && l.backlog.size() == 0) {
			return
		}
	}
}

func (l *loop[C, R]) wakeUp(source string) {
	l.want, l.woken, l.misses = true, true, 0
	if l.observer != nil {
		l.observer.Woken(source)
	}
}

// stop ends claiming and gives the open calls their time.
func (l *loop[C, R]) stop() {
	l.stopping = true
	l.idle.Store(false) // nobody need notify it
	l.limit = time.After(l.drain)
	l.log.Debug("loop stopping", "running", l.running, "unsettled", l.backlog.size())
}

// cut gives up the open calls at the end of the drain timeout, and everything at the end of the grace.
func (l *loop[C, R]) cut() {
	if l.calls.Err() == nil {
		l.log.Warn("giving up open webhook calls", "calls", l.running)
		l.cutCall()
		l.limit = time.After(settleGrace)
		return
	}
	l.limit = nil
	l.cutAll()
	if n := l.backlog.size(); n > 0 {
		l.log.Error("results lost, their claims go stale", "results", n)
	}
}

// startClaim claims if there is something to expect, no claim is open, and slots are free. Results that cannot be written
// count as well, so that their number is bounded.
func (l *loop[C, R]) startClaim() {
	if l.ctx.Err() != nil { // also before stop has noticed
		l.free.Store(0)
		return
	}
	l.free.Store(int64(l.slots - l.running))
	limit := min(l.slots-l.running, l.batch, 2*l.slots-l.running-l.backlog.size())
	if !l.want || l.claiming || limit <= 0 {
		return
	}
	woken := l.woken
	l.want, l.woken, l.claiming = false, false, true
	go func() {
		ctx, cancel := context.WithTimeout(l.queries, queryTimeout)
		defer cancel()
		c := claimed[C]{limit: limit, began: time.Now()}
		c.found, c.err = l.claim(ctx, limit, woken)
		l.claimed <- c
	}()
}

// noteClaim starts the calls of a claim and decides when to claim again.
func (l *loop[C, R]) noteClaim(c claimed[C]) {
	l.claiming = false
	if c.err != nil {
		l.trouble["claim"].Failed(c.err)
		l.failures++
		pause := min(firstPause<<min(l.failures-1, 10), longestErrorPause)
		l.poll.Reset(pause/2 + rand.N(pause))
		return
	}
	l.trouble["claim"].Worked()
	l.failures, l.held = 0, c.held
	for _, item := range c.items {
		l.running++
		go l.callOne(item, c.began.Add(l.keep))
	}
	l.idle.Store(c.got == 0 && !l.stopping)
	if c.got > 0 {
		l.misses = 0
	}
	if c.got == c.limit {
		l.want = true
		return
	}
	pause := l.pollAfter()
	if !c.again.IsZero() {
		pause = min(pause, max(time.Until(c.again), 0))
	}
	l.poll.Reset(pause)
	l.misses++
}

// pollAfter is the pause before the next look after a claim that did not find enough.
func (l *loop[C, R]) pollAfter() time.Duration {
	if l.misses < len(idlePolls) && idlePolls[l.misses] < l.interval {
		return idlePolls[l.misses]
	}
	return l.interval*9/10 + rand.N(l.interval/5+1)
}

func (l *loop[C, R]) callOne(item C, expires time.Time) {
	value := l.call(l.calls, item)
	lasting := l.lasting != nil && l.lasting(value)
	l.results <- result[R]{value: value, key: l.key(value), lane: l.lane(value), expires: expires, lasting: lasting}
}

// startSettle writes the next group back.
func (l *loop[C, R]) startSettle() {
	now := time.Now()
	if dropped := l.backlog.expire(now, l.slots); len(dropped) > 0 {
		l.log.Error("results lost, their claims have gone stale", "results", len(dropped))
	}
	group, again := l.backlog.next(now)
	if !again.IsZero() {
		l.retry.Reset(again.Sub(now))
	}
	if len(group) == 0 {
		return
	}
	values := make([]R, 0, len(group))
	for _, r := range group {
		values = append(values, r.value)
	}
	lane := group[0].lane
	go func() {
		ctx, cancel := context.WithTimeout(l.queries, queryTimeout)
		defer cancel()
		l.settled <- l.settle(ctx, lane, values)
	}()
}

func (l *loop[C, R]) noteSettled(err error) {
	cut := l.queries.Err() != nil
	switch {
	case err == nil:
		l.trouble["settle"].Worked()
	case cut:
		err = nil // it is over
	default:
		l.trouble["settle"].Failed(err)
	}
	l.backlog.done(err, time.Now())
}
