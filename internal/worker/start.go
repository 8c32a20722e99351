package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

// StartStore is what the start loop needs of the database.
type StartStore interface {
	SleepStore
	ClaimTasks(ctx context.Context, replica uuid.UUID, limit int, claimTimeout time.Duration, marks []task.Mark, rescan bool, rooms task.Rooms) (claims []task.Claim, left task.Left, err error)
	GiveBackClaims(ctx context.Context, replica uuid.UUID, kept []uuid.UUID) (givenBack int, open bool, err error)
	StartTasks(ctx context.Context, tries []task.StartTry) ([]task.RefusedAction, error)
	FailStarts(ctx context.Context, replica uuid.UUID, tries []task.StartTry, backoff time.Duration) error
}

// Caller makes one webhook call.
type Caller interface {
	Do(ctx context.Context, call webhook.Call) webhook.Result
}

// StartConfig is how tasks are started.
type StartConfig struct {
	Replica      uuid.UUID
	Slots        int           // WORKER_WEBHOOK_CONCURRENCY
	Batch        int           // WORKER_START_BATCH_SIZE
	ClaimTimeout time.Duration // WORKER_CLAIM_TIMEOUT_SECS
	Backoff      time.Duration // WEBHOOK_START_BACKOFF_MS
	Interval     time.Duration // WORKER_LOOP_INTERVAL_MS
	Drain        time.Duration // DRAIN_TIMEOUT_SECS
	// Handle makes the URL by which the target of on_start reports about this attempt of the task.
	Handle   func(task uuid.UUID, attempt int32) string
	Notified <-chan struct{} // hints of the listener; may be nil
	Hears    func() bool     // they come through; nil: always
	Policy   URLPolicy       // of cancel actions in answers; nil permits every URL
	Observer Observer        // may be nil
	Log      *slog.Logger    // may be nil
}

// StartLoop claims ready tasks and calls their on_start.
type StartLoop struct {
	config StartConfig
	store  StartStore
	caller Caller
	loop   *loop[startCall, task.StartTry]
	hosts  *hosts

	refusals refusals

	// Used by the one claim that is open.
	marks    marks
	lookback lookback
}

// startCall is an on_start to call.
type startCall struct {
	task.Claim
	host  *host
	began time.Time
}

// The lanes of results: each is written by a statement of its own.
const (
	laneStarted = iota
	laneFailed
)

// NewStartLoop makes the loop.
func NewStartLoop(c StartConfig, store StartStore, caller Caller) *StartLoop {
	s := &StartLoop{
		config: c, store: store, caller: caller,
		refusals: refusals{log: c.Log}, hosts: newHosts(c.Slots, true, circuitsOf(c.Observer, "start")),
	}
	s.loop = newLoop(work[startCall, task.StartTry]{
		name:     "start loop",
		slots:    c.Slots,
		batch:    c.Batch,
		claim:    s.claim,
		giveBack: s.giveBack,
		id:       func(c startCall) uuid.UUID { return c.TaskID },
		sleep:    &sleep{store: store, replica: c.Replica, loop: notify.Start},
		hears:    c.Hears,
		call:     s.call,
		settle:   s.settle,
		lane:     startLane,
		key:      func(t task.StartTry) uuid.UUID { return t.Claim.TaskID },
		keep:     c.ClaimTimeout,
		lasting:  isStarted,
		interval: c.Interval,
		drain:    c.Drain,
		notified: c.Notified,
		observer: c.Observer,
		log:      c.Log,
	})
	return s
}

// Run starts tasks until the context ends, and then waits for the open calls. It returns when nothing is left to do.
func (s *StartLoop) Run(ctx context.Context) error {
	s.loop.run(ctx)
	return nil
}

// Wake makes the loop look for ready tasks now.
func (s *StartLoop) Wake() { s.loop.wake() }

// FreeSlots is how many tasks it would claim now.
func (s *StartLoop) FreeSlots() int { return int(s.loop.free.Load()) }

// HeldHosts are the hosts whose on_starts are not called now, though slots may be free.
func (s *StartLoop) HeldHosts() []task.HeldHost { return s.hosts.held(time.Now()) }

func (s *StartLoop) giveBack(ctx context.Context, kept []uuid.UUID) (open bool, err error) {
	n, open, err := s.store.GiveBackClaims(ctx, s.config.Replica, kept)
	if n > 0 && s.config.Log != nil {
		s.config.Log.Info("tasks whose claim was not heard of go back", "tasks", n)
	}
	return open, err
}

func (s *StartLoop) claim(ctx context.Context, limit int, woken bool) (found[startCall], error) {
	if woken {
		s.lookback.hint()
	}
	began := time.Now()
	full, rescan := s.lookback.plan(began)
	plan := s.hosts.plan(began, limit, full)
	if plan.limit == 0 {
		return found[startCall]{held: true, again: plan.again}, nil
	}
	rescan = rescan && !plan.past // the next one looks by host
	var ahead []task.Mark
	if !full {
		ahead = s.marks.list()
	}
	if len(ahead) == 0 {
		full, rescan = true, true
	}
	claims, left, err := s.store.ClaimTasks(ctx, s.config.Replica, plan.limit, s.config.ClaimTimeout, ahead, rescan, plan.rooms)
	if err != nil {
		return found[startCall]{}, err
	}
	ended := time.Now()
	if s.config.Observer != nil {
		s.config.Observer.Claimed(len(claims), ended.Sub(began))
	}
	filled := len(claims) == plan.limit
	s.consumed(claims, full, filled)
	all := (full || rescan) && !filled
	if full || all {
		s.lookback.looked(began, ended)
	}
	if left.Held {
		s.lookback.hint() // those that were left out may stand behind the marks now
	}
	again := s.hosts.claimed(began, ended, plan, left, filled)
	f := found[startCall]{all: all, got: len(claims), held: left.Held || filled && plan.limit < limit, again: again}
	for _, c := range claims {
		if c.Webhook != nil { // else it is Running already, without a call
			f.items = append(f.items, startCall{c, s.hosts.begin(c.Host, ended), ended})
		}
	}
	// As if there had been more than slots: claim again at once. For the slots that were left for other hosts it is early enough when
	// the next call ends.
	if left.Again || filled && (plan.limit == limit || len(f.items) == 0) {
		f.got = limit
	}
	return f, nil
}

// consumed moves the marks. full: the queue was read from its start; filled: reading ended for want of slots.
func (s *StartLoop) consumed(claims []task.Claim, full, filled bool) {
	var plain []task.Claim // rules have a queue of their own, which is always read from its start, as hosts are
	for _, c := range claims {
		if !c.HasRules && !c.ByHost {
			plain = append(plain, c)
		}
	}
	for _, c := range plain {
		if !full && filled && s.marks.covers(c) {
			s.lookback.hint() // where this one stood, more may stand
			break
		}
	}
	s.marks.advance(plain)
	if full && filled && len(plain) > 0 {
		s.marks.cut(plain[len(plain)-1])
	}
}

func (s *StartLoop) call(ctx context.Context, c startCall) task.StartTry {
	r := s.hosts.call(c.host, c.began, func() webhook.Result {
		return s.caller.Do(ctx, webhook.Call{
			Webhook:        *c.Webhook,
			Handle:         s.config.Handle(c.TaskID, c.Attempt),
			IdempotencyKey: c.IdempotencyKey,
			Traceparent:    c.Traceparent,
			TaskID:         c.TaskID,
			BatchID:        c.BatchID,
			Trigger:        webhook.Start,
			Attempt:        c.Attempt,
		})
	})
	action, err := cancelAction(r, s.config.Policy)
	if err != nil {
		s.refusals.note(c.TaskID, err.Error())
	}
	if action != nil || err != nil {
		r.Response = maskedAction
	}
	return task.StartTry{
		Claim: c.Claim, Permanent: r.Class == webhook.Permanent || r.Class == webhook.Gone, CancelAction: action, Try: r.Try,
	}
}

// isStarted says that the target has the call. Whatever becomes of the claim, it is not called again in this attempt, and nobody else
// knows the cancel action that it answered.
func isStarted(t task.StartTry) bool { return t.Error == "" }

func startLane(t task.StartTry) int {
	if isStarted(t) {
		return laneStarted
	}
	return laneFailed
}

func (s *StartLoop) settle(ctx context.Context, lane int, tries []task.StartTry) error {
	if lane == laneStarted {
		refused, err := s.store.StartTasks(ctx, tries)
		for _, r := range refused {
			s.refusals.note(r.TaskID, r.Fault)
		}
		return err
	}
	return s.store.FailStarts(ctx, s.config.Replica, tries, s.config.Backoff)
}
