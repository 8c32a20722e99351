package worker

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

const (
	// leaseMargin is how much longer than a call the lease of a delivery lasts: to hear of it, and to write the result.
	leaseMargin = 5 * time.Second
	// claimWithin bounds a claim: whoever hears of a lease later than that would still be calling when it has run out.
	claimWithin = 4 * time.Second
)

// DeliverStore is what the deliver loop needs of the database.
type DeliverStore interface {
	SleepStore
	ClaimDeliveries(ctx context.Context, replica uuid.UUID, limit int, lease time.Duration, after time.Time, rescan bool, rooms task.Rooms) ([]task.Delivery, task.Left, error)
	GiveBackDeliveries(ctx context.Context, replica uuid.UUID, kept []uuid.UUID) (givenBack int, open bool, err error)
	SettleDeliveries(ctx context.Context, tries []task.DeliveryTry, backoff task.Backoff) error
}

// DeliverConfig is how End and Cancel webhooks are delivered.
type DeliverConfig struct {
	Replica     uuid.UUID
	Slots       int           // WEBHOOK_DELIVERY_CONCURRENCY
	CallTimeout time.Duration // WEBHOOK_TIMEOUT_SECS
	Backoff     task.Backoff
	Interval    time.Duration // WORKER_LOOP_INTERVAL_MS
	Drain       time.Duration // DRAIN_TIMEOUT_SECS
	// Handle makes the URL by which the target reports about this attempt of the task.
	Handle   func(task uuid.UUID, attempt int32) string
	Notified <-chan struct{} // hints of the listener; may be nil
	Hears    func() bool     // they come through; nil: always
	Observer Observer        // may be nil; Claimed is not called
	Log      *slog.Logger    // may be nil
}

// DeliverLoop claims due End and Cancel deliveries and calls their webhooks.
type DeliverLoop struct {
	config DeliverConfig
	store  DeliverStore
	caller Caller
	loop   *loop[deliveryCall, task.DeliveryTry]
	hosts  *hosts

	// Used by the one claim that is open.
	mark     time.Time // the due time up to which this replica has consumed the queue
	lookback lookback
}

// deliveryCall is a delivery to call.
type deliveryCall struct {
	task.Delivery
	host  *host
	began time.Time
}

// NewDeliverLoop makes the loop.
func NewDeliverLoop(c DeliverConfig, store DeliverStore, caller Caller) *DeliverLoop {
	d := &DeliverLoop{config: c, store: store, caller: caller, hosts: newHosts(c.Slots, false, circuitsOf(c.Observer, "deliver"))}
	d.loop = newLoop(work[deliveryCall, task.DeliveryTry]{
		name:     "deliver loop",
		slots:    c.Slots,
		batch:    c.Slots,
		claim:    d.claim,
		giveBack: d.giveBack,
		id:       func(c deliveryCall) uuid.UUID { return c.ID },
		sleep:    &sleep{store: store, replica: c.Replica, loop: notify.Deliver},
		hears:    c.Hears,
		call:     d.call,
		settle:   d.settle,
		lane:     func(task.DeliveryTry) int { return 0 },
		key:      func(t task.DeliveryTry) uuid.UUID { return t.Delivery.ID },
		keep:     c.CallTimeout + leaseMargin,
		lasting:  func(t task.DeliveryTry) bool { return t.Outcome == task.DeliveryDelivered },
		interval: c.Interval,
		drain:    c.Drain,
		notified: c.Notified,
		observer: c.Observer,
		log:      c.Log,
	})
	return d
}

// Run delivers webhooks until the context ends, and then waits for the open calls. It returns when nothing is left to do.
func (d *DeliverLoop) Run(ctx context.Context) error {
	d.loop.run(ctx)
	return nil
}

// Wake makes the loop look for due deliveries now.
func (d *DeliverLoop) Wake() { d.loop.wake() }

func (d *DeliverLoop) giveBack(ctx context.Context, kept []uuid.UUID) (open bool, err error) {
	n, open, err := d.store.GiveBackDeliveries(ctx, d.config.Replica, kept)
	if n > 0 && d.config.Log != nil {
		d.config.Log.Info("deliveries whose claim was not heard of go back", "deliveries", n)
	}
	return open, err
}

func (d *DeliverLoop) claim(ctx context.Context, limit int, woken bool) (found[deliveryCall], error) {
	if woken {
		d.lookback.hint()
	}
	began := time.Now()
	plan := d.hosts.plan(began, limit, false)
	if plan.limit == 0 {
		return found[deliveryCall]{held: true, again: plan.again}, nil
	}
	full, rescan := d.lookback.plan(began)
	after := d.mark
	if full {
		after = time.Time{}
	}
	if after.IsZero() {
		full, rescan = true, true
	}
	ctx, cancel := context.WithTimeout(ctx, claimWithin)
	defer cancel()
	deliveries, left, err := d.store.ClaimDeliveries(ctx, d.config.Replica, plan.limit, d.config.CallTimeout+leaseMargin, after, rescan, plan.rooms)
	if err != nil {
		return found[deliveryCall]{}, err
	}
	ended := time.Now()
	filled := len(deliveries) == plan.limit
	d.consumed(deliveries, full, filled)
	all := (full || rescan) && !filled
	if full || all {
		d.lookback.looked(began, ended)
	}
	if left.Held {
		d.lookback.hint() // those that were left out may stand behind the mark now
	}
	again := d.hosts.claimed(began, ended, plan, left, filled)
	f := found[deliveryCall]{all: all, got: len(deliveries), held: left.Held || filled && plan.limit < limit, again: again}
	for _, delivery := range deliveries {
		f.items = append(f.items, deliveryCall{delivery, d.hosts.begin(delivery.Host, ended), ended})
	}
	if filled && plan.limit == limit {
		f.got = limit // there may be more; the slots that were left for other hosts wait for the end of the next call
	}
	return f, nil
}

// consumed moves the mark. full: the queue was read from its start; filled: reading ended for want of slots.
func (d *DeliverLoop) consumed(deliveries []task.Delivery, full, filled bool) {
	var latest time.Time
	found := false
	for _, delivery := range deliveries {
		if delivery.ByHost {
			continue
		}
		found = true
		if delivery.NextTryAt.After(latest) {
			latest = delivery.NextTryAt
		}
		if !full && filled && !delivery.NextTryAt.After(d.mark) {
			d.lookback.hint() // where this one stood, more may stand
		}
	}
	if latest.After(d.mark) || full && filled && found {
		d.mark = latest
	}
}

func (d *DeliverLoop) call(ctx context.Context, c deliveryCall) task.DeliveryTry {
	r := d.hosts.call(c.host, c.began, func() webhook.Result {
		return d.caller.Do(ctx, webhook.Call{
			Webhook:        c.Webhook,
			Handle:         d.config.Handle(c.TaskID, c.TaskAttempt),
			IdempotencyKey: c.IdempotencyKey,
			Traceparent:    c.Traceparent,
			TaskID:         c.TaskID,
			BatchID:        c.BatchID,
			Trigger:        strings.ToLower(c.Trigger),
			Attempt:        c.TaskAttempt,
		})
	})
	outcome := task.DeliveryFailed
	switch r.Class {
	case webhook.Delivered:
		outcome = task.DeliveryDelivered
	case webhook.Gone:
		outcome = task.DeliveryGivenUp
	}
	return task.DeliveryTry{Delivery: c.Delivery, Outcome: outcome, Try: r.Try}
}

func (d *DeliverLoop) settle(ctx context.Context, _ int, tries []task.DeliveryTry) error {
	return d.store.SettleDeliveries(ctx, tries, d.config.Backoff)
}
