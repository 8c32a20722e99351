package worker

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
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

// A loop that is not notified of all that comes looks again after firstPoll, and then after twice as long each time, up to its interval:
// so what nobody told it of waits no longer than it has taken to come. One that sleeps soundly (sleep) looks at its interval only.
const firstPoll = 4 * time.Millisecond

// A loop that finds at least busyFinds within busyWindow, or fills its slots twice in a row, stays awake: it comes by soon anyway, and
// thousands of notifications a second would slow everybody down who makes work.
const (
	busyFinds  = 16
	busyWindow = 20 * time.Millisecond
)

// work is what one loop does. claim is called by one goroutine at a time, call and lane by many.
type work[C, R any] struct {
	name  string
	slots int // most calls at the same time, > 0
	batch int // most claimed in one step, > 0

	// claim gets at most limit. woken: something new may be there.
	claim func(ctx context.Context, limit int, woken bool) (found[C], error)
	// giveBack gives back what was claimed by a claim that failed, though nobody heard of it; kept is what was heard of and is not
	// settled. open: such a claim may not have ended yet.
	giveBack func(ctx context.Context, kept []uuid.UUID) (open bool, err error)
	id       func(C) uuid.UUID // what key is to its result
	sleep    *sleep            // used by the one claim that is open
	hears    func() bool       // notifications come through; nil: always
	call     func(ctx context.Context, item C) R
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
	misses   int  // looks in a row that found nothing, or less than all
	lie      bool // fall asleep before the next claim, or find out whether everybody knows
	sound    bool // it sleeps, and is notified of all that comes
	busy     busy
	failures int  // claims in a row that failed
	unheard  bool // a claim that failed may have claimed something that is not given back yet
	stopping bool
	called   map[uuid.UUID]struct{} // whose calls are open

	free atomic.Int64 // slots; read by the pulse
}

// busy counts what a loop finds.
type busy struct {
	began time.Time // of the window
	found int       // in it
	fills int       // claims in a row that filled the slots
}

func (b *busy) add(now time.Time, got int, filled bool) {
	if got == 0 {
		*b = busy{}
		return
	}
	if now.Sub(b.began) > busyWindow {
		b.began, b.found = now, 0
	}
	b.found += got
	b.fills++
	if !filled {
		b.fills = 0
	}
}

func (b *busy) is(now time.Time) bool {
	return b.fills >= 2 || b.found >= busyFinds && now.Sub(b.began) <= 2*busyWindow
}

// found is what a claim got.
type found[C any] struct {
	items []C       // to be called
	got   int       // in all; as many as were asked for means that there may be more
	all   bool      // the whole queue was looked at
	held  bool      // others wait, until calls to their host have ended or somebody lets them go
	again time.Time // others wait until then; zero: nobody does
}

// claimed is how a claim ended.
type claimed[C any] struct {
	found[C]
	limit  int
	began  time.Time
	stands bool // the stamp stood before it looked
	quiet  bool // and all who might not have seen it had ended
	lay    bool // it asked
	open   bool // an earlier one may not have ended
	err    error
}

func newLoop[C, R any](w work[C, R]) *loop[C, R] {
	if w.hears == nil {
		w.hears = func() bool { return true }
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.log = w.log.With("component", w.name)
	l := &loop[C, R]{
		work: w, nudge: notify.NewSignal(),
		claimed: make(chan claimed[C], 1), results: make(chan result[R], w.slots), settled: make(chan error, 1),
		called:  map[uuid.UUID]struct{}{},
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
			l.lie = l.lie || l.sound // the database may have lost the stamp in a crash
			if l.observer != nil {
				l.observer.Woken(ByPoll)
			}
		case c := <-l.claimed:
			l.noteClaim(c)
		case r := <-l.results:
			l.running--
			delete(l.called, r.key)
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
	woken, busy, lie := l.woken, l.busy.is(time.Now()), l.lie
	l.want, l.woken, l.lie, l.claiming = false, false, false, true
	unheard := l.unheard
	var kept []uuid.UUID
	if unheard {
		kept = slices.AppendSeq(l.backlog.keys(), maps.Keys(l.called))
	}
	go func() {
		ctx, cancel := context.WithTimeout(l.queries, queryTimeout)
		defer cancel()
		c := claimed[C]{limit: limit, began: time.Now()}
		if unheard {
			c.open, c.err = l.giveBack(ctx, kept)
		}
		switch {
		case c.err != nil:
		case busy && l.sleep.stands():
			c.err = l.sleep.end(ctx)
		case lie && !busy:
			c.lay, c.err = true, l.sleep.fall(ctx)
		}
		c.stands, c.quiet = l.sleep.stands(), l.sleep.quiet
		if c.err == nil {
			c.found, c.err = l.claim(ctx, limit, woken || c.lay || unheard)
		}
		if c.err != nil {
			l.sleep.forget()
		}
		l.claimed <- c
	}()
}

// noteClaim starts the calls of a claim and decides when to claim again.
func (l *loop[C, R]) noteClaim(c claimed[C]) {
	l.claiming = false
	l.sound = false
	if c.err != nil {
		l.trouble["claim"].Failed(c.err)
		l.failures++
		l.unheard = true
		pause := min(firstPause<<min(l.failures-1, 10), longestErrorPause)
		l.poll.Reset(pause/2 + rand.N(pause))
		return
	}
	l.trouble["claim"].Worked()
	l.failures, l.unheard, l.held = 0, c.open, c.held
	for _, item := range c.items {
		l.running++
		l.called[l.id(item)] = struct{}{}
		go l.callOne(item, c.began.Add(l.keep))
	}
	l.busy.add(c.began, c.got, c.got == c.limit)
	if c.got > 0 {
		l.misses = 0
	}
	if c.got == c.limit {
		l.want = true
		return
	}
	if c.got == 0 && !c.stands && !c.lay {
		l.want, l.lie = true, true
		return
	}
	pause := l.interval*9/10 + rand.N(l.interval/5+1)
	l.sound = c.stands && c.quiet && c.all && !c.held && l.hears()
	if !l.sound {
		l.lie = c.got == 0 && !c.stands || c.stands && !c.quiet
		pause = min(pause, firstPoll<<min(l.misses, 20))
		l.misses++
		if !c.again.IsZero() {
			pause = min(pause, max(time.Until(c.again), 0))
		}
	}
	l.poll.Reset(pause)
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
	case isHeld(err) && !l.backlog.late(time.Now()):
		l.log.Debug("results wait for a lock", "error", err) // somebody works on the same task
	default:
		l.trouble["settle"].Failed(err)
	}
	l.backlog.done(err, time.Now())
}
