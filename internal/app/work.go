package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/taskrunner/taskrunner/internal/chores"
	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/signature"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
	"github.com/taskrunner/taskrunner/internal/view"
	"github.com/taskrunner/taskrunner/internal/webhook"
	"github.com/taskrunner/taskrunner/internal/worker"
)

// leaveTimeout bounds the good-bye of a replica; without it the others notice by the silence.
const leaveTimeout = 5 * time.Second

// work is the part of a replica that claims: its loops, its pulse and chores, and the listener that wakes them.
type work struct {
	log      *slog.Logger
	store    *store.Store
	id       uuid.UUID
	client   *webhook.Client
	listener *notify.Listener
	start    *worker.StartLoop
	deliver  *worker.DeliverLoop
	chores   *chores.Chores
	view     *view.Hub
	changed  notify.Signal // a batch that somebody looks at
}

// newWork makes them. signer may be nil.
func (r *replica) newWork(signer *signature.Signer) (*work, error) {
	c := r.config
	proxy, err := c.Proxy()
	if err != nil {
		return nil, err
	}
	w := &work{log: r.log, store: r.store, id: r.id}
	w.listener = notify.New(c.Direct(), notify.Options{Log: r.log, Observer: r.metrics})
	w.client = webhook.New(webhook.Config{
		Timeout: c.Webhook.Timeout(), ConnectTimeout: c.ConnectTimeout(), MaxResponseBytes: c.WebhookMaxResponseBytes,
		MaxCalls: c.WorkerWebhookConcurrency + c.WebhookDeliveryConcurrency, Version: r.options.Version, Signer: signer, Observer: r.metrics,
		Egress: r.egress, Proxy: proxy, Tracer: r.tracer, Log: tracing.Logger(r.log).With("component", "webhook"),
	})
	w.start = worker.NewStartLoop(worker.StartConfig{
		Replica: w.id, Slots: c.WorkerWebhookConcurrency, Batch: c.WorkerStartBatchSize, ClaimTimeout: c.ClaimTimeout(),
		Backoff: c.StartBackoff(), Interval: c.LoopInterval(), Drain: c.DrainTimeout(), Handle: r.handles.URL, Policy: r.egress,
		Notified: w.listener.Subscribe(notify.Start), Hears: w.listener.Connected, Observer: r.metrics, Log: r.log,
	}, r.store, w.client)
	w.deliver = worker.NewDeliverLoop(worker.DeliverConfig{
		Replica: w.id, Slots: c.WebhookDeliveryConcurrency, CallTimeout: c.Webhook.Timeout(),
		Backoff: task.Backoff{
			Base: time.Duration(c.WebhookBackoffSecs) * time.Second, Factor: c.WebhookBackoffFactor,
			Max: time.Duration(c.WebhookBackoffMaxSecs) * time.Second,
		},
		Interval: c.LoopInterval(), Drain: c.DrainTimeout(), Handle: r.handles.URL,
		Notified: w.listener.Subscribe(notify.Deliver), Hears: w.listener.Connected, Observer: r.metrics, Log: r.log,
	}, r.store, w.client)
	w.chores = chores.New(chores.Config{
		Replica: w.id, Name: replicaName(), Version: r.options.Version, ClaimTimeout: c.ClaimTimeout(),
		IdempotencyLife: c.IdempotencyLife(), Retention: r.retention(), Notified: w.listener.Subscribe(notify.Chores), Freed: w.listener.Subscribe(notify.Wake),
		FreeSlots: w.start.FreeSlots, HeldHosts: w.start.HeldHosts, WakeStart: w.start.Wake, WakeDeliver: w.deliver.Wake, Log: r.log,
	}, r.store)
	w.view, w.changed = r.view, w.listener.Subscribe(notify.Watch)
	return w, nil
}

// retention is what the settings say of removing what ended long ago; nil: nothing.
func (r *replica) retention() *chores.Retention {
	c := r.config.Retention
	if !c.RetentionEnabled.On() {
		return nil
	}
	r.log.Info("what ended long ago is removed", "days", c.RetentionDays, "interval", c.CleanupInterval())
	return &chores.Retention{
		Days: c.RetentionDays, Every: c.CleanupInterval(), Chunk: c.RetentionBatchSize, Removed: r.metrics.Cleaned, Ran: r.metrics.CleanupRan,
	}
}

// replicaName tells people which process a replica is.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// run works until drain ends, and then until the open calls are settled. The pulse begins before the first claim, so
// that somebody would miss this replica, and ends after the last one is settled.
func (w *work) run(drain context.Context) error {
	defer w.client.Close()
	pulse, endPulse := context.WithCancel(context.WithoutCancel(drain))
	defer endPulse()
	group := errgroup.Group{}
	group.Go(func() error { return w.chores.Run(pulse, drain) })
	group.Go(func() error { return w.listener.Run(drain) })
	group.Go(func() error { w.view.Run(drain, w.changed); return nil })

	select {
	case <-w.chores.Registered():
		loops := errgroup.Group{}
		loops.Go(func() error { return w.start.Run(drain) })
		loops.Go(func() error { return w.deliver.Run(drain) })
		if err := loops.Wait(); err != nil {
			return err
		}
	case <-drain.Done():
	}
	endPulse()
	err := group.Wait()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(drain), leaveTimeout)
	defer cancel()
	if leaveErr := w.store.Leave(ctx, w.id); leaveErr != nil {
		w.log.Warn("could not say good-bye to the database, the others will notice", "error", leaveErr)
	}
	return err
}
