// Package app wires the parts of a replica together and runs them: database, migrations, loops, HTTP, in this order; and
// at a stop in reverse, so that nothing that was begun is lost.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/metrics"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
	"github.com/taskrunner/taskrunner/internal/view"
)

// Options are what a caller decides beyond the settings.
type Options struct {
	Version   string         // of the program
	Log       *slog.Logger   // nil: slog.Default()
	Listener  net.Listener   // serves instead of PORT; closed at the end
	Ready     func(net.Addr) // called once requests are served; may be nil
	ViewTasks int            // most tasks of a batch that the web page draws; 0: view.MostTasks
}

// replica is a running process.
type replica struct {
	config  config.Config
	options Options
	log     *slog.Logger
	store   *store.Store
	handles *handle.Signer
	egress  *egress.Policy
	metrics *metrics.Metrics
	tracer  *tracing.Tracer // nil: nothing is traced
	id      uuid.UUID
	view    *view.Hub // what people look at
	claims  bool      // the schema is this program's, so it may claim

	unstarted *tally // tasks that failed while they were being started, nearly always because on_start was refused
	givenUp   *tally // webhooks that failed for good

	work     atomic.Pointer[work] // nil until it is made, and in a process that claims nothing
	draining atomic.Bool
}

// Run runs a replica until the context ends and then drains it: no new claims, /ready says so, open requests and webhook
// calls get DRAIN_TIMEOUT_SECS. The settings have been checked. It returns nil after a drain, and an error when the
// database does not come, does not fit, or HTTP cannot be served.
func Run(ctx context.Context, c config.Config, o Options) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.ViewTasks = cmp.Or(o.ViewTasks, view.MostTasks)
	if o.Listener != nil {
		defer o.Listener.Close()
	}
	policy, err := c.Egress()
	if err != nil {
		return err
	}
	r := &replica{config: c, options: o, log: o.Log, egress: policy, metrics: metrics.New(), id: uuid.New(),
		unstarted: newTally(func(n int64) {
			o.Log.Warn("tasks failed before they ran; failure_reason of each says why, GET /task?status=Failure lists them", "tasks", n)
		}),
		givenUp: newTally(func(n int64) {
			o.Log.Warn("webhooks failed for good; GET /deliveries?status=Failed lists them, POST /deliveries/replay sends them again", "deliveries", n)
		}),
	}
	defer r.unstarted.flush()
	defer r.givenUp.flush()
	if c.TracingEnabled.On() {
		r.tracer, err = tracing.New(ctx, tracing.Options{
			Endpoint: c.OTELExporterOTLPEndpoint, Service: c.OTELServiceName, Version: o.Version, Instance: replicaName(),
			Ratio: c.OTELSamplingRatio, Log: o.Log,
		})
		if err != nil {
			return err
		}
		defer r.tracer.Close()
	}
	if names := c.Ignored(); len(names) > 0 {
		r.log.Warn("these settings have no effect in this version", "settings", names)
	}
	if err := r.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it had begun
		}
		return err
	}
	defer r.store.Close()
	socket, err := r.listen(ctx)
	if err != nil {
		return err
	}
	defer socket.Close()
	return r.run(ctx, socket)
}

func (r *replica) listen(ctx context.Context) (net.Listener, error) {
	if r.options.Listener != nil {
		return r.options.Listener, nil
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(r.config.Port)))
	if err != nil {
		return nil, fmt.Errorf("PORT: %w", err)
	}
	return socket, nil
}

// open connects to the database, brings it to this program's schema and reads what the process needs of it.
func (r *replica) open(ctx context.Context) (err error) {
	c := r.config
	if err := reachPool(ctx, c, r.log); err != nil {
		return err
	}
	if r.claims, err = prepareDatabase(ctx, c.Database, r.log); err != nil {
		return err
	}
	r.store, err = store.Open(ctx, c.DatabaseURL, store.Options{
		MaxConns: c.PoolMaxSize, MinConns: c.PoolMinIdle, PreparedStatements: c.PoolPreparedStatements.On(),
		AcquireTimeout: c.AcquireTimeout(), AcquireRetries: c.PoolAcquireRetries,
		Breaker: r.breaker(), SlowQuery: c.SlowQueryThreshold(), Observer: storeObserver{r.metrics, r}, Tracer: r.tracer, Log: r.log,
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.store.Close()
		}
	}()
	r.metrics.ReadDatabase(r.store, r.log)
	if r.handles, err = r.signer(ctx); err != nil {
		return err
	}
	return r.saveSettings(ctx)
}

// breaker is what the settings say of refusing requests while the database is away.
func (r *replica) breaker() store.Breaker {
	c := r.config.Breaker
	if !c.CircuitBreakerEnabled.On() {
		return store.Breaker{}
	}
	return store.Breaker{
		Failures: c.CircuitBreakerFailureThreshold, Window: c.FailureWindow(), Recovery: c.RecoveryTimeout(),
		OnChange: func(to store.BreakerState) {
			r.metrics.BreakerChanged(string(to))
			switch to {
			case store.BreakerOpen:
				r.log.Warn("the database is away: requests are refused", "next_try_after", c.RecoveryTimeout())
			case store.BreakerClosed:
				r.log.Info("the database is back: requests are served")
			}
		},
	}
}

func (r *replica) signer(ctx context.Context) (*handle.Signer, error) {
	var keys [][]byte
	for _, secret := range r.config.AuthHandleSecrets {
		keys = append(keys, []byte(secret))
	}
	if len(keys) == 0 {
		key, err := r.store.HandleKey(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the handle key: %w", err)
		}
		keys = [][]byte{key}
	}
	return handle.New(r.config.BaseURL(), keys)
}

// saveSettings stores what triggers need. The last start wins, so a difference is worth a line. A replica that may not
// claim belongs to an older version and leaves them.
func (r *replica) saveSettings(ctx context.Context) error {
	if !r.claims {
		return nil
	}
	settings := store.Settings{
		DeadEndCancel: r.config.DeadEndCancelEnabled.On(), WebhookMaxAttempts: r.config.WebhookMaxAttempts,
		StartMaxAttempts: r.config.WebhookStartMaxAttempts,
	}
	before, err := r.store.SaveSettings(ctx, settings)
	if err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	if before != settings {
		r.log.Info("settings in the database changed", changes(before, settings)...)
	}
	return nil
}

// changes are the attributes of a log line: of each setting that differs, what it was and what it is.
func changes(before, now store.Settings) []any {
	var attrs []any
	note := func(name string, before, now any) {
		if before != now {
			attrs = append(attrs, slog.Group(name, "before", before, "now", now))
		}
	}
	note("DEAD_END_CANCEL_ENABLED", before.DeadEndCancel, now.DeadEndCancel)
	note("WEBHOOK_MAX_ATTEMPTS", before.WebhookMaxAttempts, now.WebhookMaxAttempts)
	note("WEBHOOK_START_MAX_ATTEMPTS", before.StartMaxAttempts, now.StartMaxAttempts)
	return attrs
}

// storeObserver counts what the store does, and sees what else follows.
type storeObserver struct {
	*metrics.Metrics
	replica *replica
}

// Counted wakes the own start loop for tasks that became Pending, too: the notification would come as well, but later. A failed or
// stale claim that went back is scheduled or looked after by a chore.
func (o storeObserver) Counted(c task.Counts) {
	o.Metrics.Counted(c)
	wake := false
	for _, t := range c.Transitions {
		switch {
		case t.To == task.Pending && t.From != task.Claimed:
			wake = true
		case t.To == task.Failure && t.From == task.Claimed:
			o.replica.unstarted.add(t.Count)
		}
	}
	if wake {
		o.replica.wakeStart()
	}
}

// Settled has failed webhooks logged as well.
func (o storeObserver) Settled(trigger string, delivered, failed int64) {
	o.Metrics.Settled(trigger, delivered, failed)
	if failed > 0 {
		o.replica.givenUp.add(failed)
	}
}

// noteCreated counts tasks of POST /task.
func (r *replica) noteCreated(tasks []task.Task) {
	r.metrics.TasksCreated(tasks)
	for _, t := range tasks {
		if t.Status == task.Pending {
			r.wakeStart()
			return
		}
	}
}

func (r *replica) wakeStart() {
	if w := r.work.Load(); w != nil {
		w.start.Wake()
	}
}

// listenerState is what GET /health shows.
func (r *replica) listenerState() string {
	if w := r.work.Load(); w != nil && w.listener.Connected() {
		return "connected"
	}
	return "polling"
}

// run works and serves until the context ends, then drains. HTTP outlives the webhook calls, because their targets report
// here, perhaps before they answer; and load balancers read in /ready that the end is near.
func (r *replica) run(ctx context.Context, socket net.Listener) error {
	tokens, err := r.config.Tokens()
	if err != nil {
		return err
	}
	signer, err := r.config.Signer()
	if err != nil {
		return err
	}
	r.view = view.NewHub(r.store, r.id, r.options.ViewTasks, r.log)
	defer r.view.Close()
	handler, err := api.New(api.Config{
		Store: r.store, Handles: r.handles, View: r.view, Egress: r.egress, MaxBodyBytes: r.config.MaxBodyBytes, MaxInFlight: r.config.PoolMaxInFlight,
		Tokens: tokens, PublicMetrics: r.config.AuthPublicMetrics.On(), DatabaseAway: r.store.Away,
		IdempotencyLife: r.config.IdempotencyLife(), InFlight: r.metrics.InFlight, Shed: r.metrics.Shed, AuthFailed: r.metrics.AuthFailed,
		PageSize: r.config.PaginationDefault, MaxPageSize: r.config.PaginationMax, ViewTasks: r.options.ViewTasks,
		RetryAfter: time.Duration(r.config.PoolRetryAfterSecs) * time.Second, Log: r.log, Tracer: r.tracer,
		Metrics: r.metrics.Handler(), Observe: r.metrics.Request, Created: r.noteCreated,
		Ready:         func() (bool, string) { return !r.draining.Load(), "shutting down" },
		ListenerState: r.listenerState,
	})
	if err != nil {
		return err
	}

	// Draining begins with the end of ctx, or when a part fails.
	drain, stop := context.WithCancel(ctx)
	defer stop()
	group, broken := errgroup.WithContext(context.WithoutCancel(ctx))
	defer context.AfterFunc(broken, stop)()
	defer context.AfterFunc(drain, func() {
		r.draining.Store(true)
		r.log.Info("shutting down", "drain_timeout", r.config.DrainTimeout())
		r.view.Close() // pages go on at another replica
	})()
	worked := make(chan struct{})
	if r.claims && r.config.WorkerEnabled.On() {
		w, err := r.newWork(signer)
		if err != nil {
			return err
		}
		r.work.Store(w)
		working, endWork := context.WithCancel(drain)
		defer endWork()
		group.Go(func() error { defer close(worked); return w.run(working) })
		group.Go(func() error { r.watchSchema(working, endWork); return nil })
	} else {
		close(worked)
		r.log.Info("this process claims no work", "schema_fits", r.claims, "worker_enabled", r.config.WorkerEnabled.On())
	}
	if len(tokens) == 0 {
		r.log.Warn("AUTH_TOKENS is not set: the API is open to whoever reaches its port")
	}
	if r.config.SkipSSRFValidation.On() {
		r.log.Warn("SKIP_SSRF_VALIDATION is on: a task can have anything called that this machine can reach")
	}
	group.Go(func() error { return r.serve(drain, worked, handler, socket) })
	r.log.Info("ready", "address", socket.Addr().String(), "version", r.options.Version)
	if r.options.Ready != nil {
		r.options.Ready(socket.Addr())
	}
	err = group.Wait()
	r.log.Info("stopped")
	return err
}

// httpShare is the part of the drain timeout that is kept for open requests when webhook calls take all they can get.
const httpShare = 4

// serve answers requests until drain has ended and the work is done, and those that are open then until the drain
// timeout.
func (r *replica) serve(drain context.Context, worked <-chan struct{}, handler http.Handler, socket net.Listener) error {
	server := api.Server(handler, r.log)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(api.Listener(socket, connections(r.config.PoolMaxInFlight), r.log)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-drain.Done():
	}
	timeout := r.config.DrainTimeout()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(drain), timeout)
	defer cancel()
	server.SetKeepAlivesEnabled(false) // clients go elsewhere with their next request
	select {
	case <-worked:
	case <-time.After(timeout - timeout/httpShare):
	}
	if err := server.Shutdown(ctx); err != nil {
		r.log.Warn("giving up open requests", "error", err)
		_ = server.Close() // what it could fail at is over with the process
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}
