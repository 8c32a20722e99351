// Package chores keeps a replica's place in the system and does the work that belongs to nobody. Once a
// second a pulse writes that this replica lives and which of its loops sleep, and reads what there is to do. Each due
// chore then runs in transactions of its own, next to the pulse, so that a long one never hides the heartbeat. There is
// no leader: any replica may run any chore, also several at the same moment.
package chores

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/notify"
	"github.com/taskrunner/taskrunner/internal/outage"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// silence is how long a replica may say nothing before its claims go back. Changing it needs the same change in
	// sql/functions/tick.sql.
	silence = 5 * time.Second
	// chunk is how much one transaction of a chore does at most.
	chunk = 500
	// maxChunks bounds one run; what is left comes with the next pulse.
	maxChunks    = 1000
	chunkPause   = 20 * time.Millisecond
	chunkTimeout = 30 * time.Second
	// A chore that lingers looks again after lingerPause, lingerLooks times in vain. Nobody notifies it meanwhile, so the pause is
	// how late it comes.
	lingerPause = 5 * time.Millisecond
	lingerLooks = 20
)

// Store is what the chores need of the database.
type Store interface {
	Pulse(ctx context.Context, p task.Pulse) (task.Agenda, error)
	SweepActive(ctx context.Context, limit int, claimTimeout time.Duration) (int, error)
	SweepReplicas(ctx context.Context, limit int, silence time.Duration) (int, error)
	ReleaseScheduled(ctx context.Context, limit int) (int, error)
	DrainDeadEnds(ctx context.Context, limit int) (int, error)
	RegisterShape(ctx context.Context) (bool, error)
	DropShape(ctx context.Context) (bool, error)
	WakeLimits(ctx context.Context, replica uuid.UUID, limit, room int) (task.Woken, error)
	RecheckLimits(ctx context.Context, all bool) (repaired, progressed int, err error)
	DeleteGates(ctx context.Context, limit int) (int, error)
	DeleteIdempotencyKeys(ctx context.Context, limit int, life time.Duration) (int, error)
	BeginPrune(ctx context.Context, interval time.Duration) (ours bool, again time.Duration, err error)
	Prune(ctx context.Context, days, limit int, chunk []byte) (removed task.Pruned, next []byte, err error)
}

// Config is what the pulse tells and whom it wakes. The functions must not block.
type Config struct {
	Replica         uuid.UUID
	Name            string // of this replica, for people
	Version         string
	ClaimTimeout    time.Duration // WORKER_CLAIM_TIMEOUT_SECS
	IdempotencyLife time.Duration // RETENTION_IDEMPOTENCY_SECS
	Retention       *Retention    // nil: everything is kept

	Notified    <-chan struct{}        // hints of the listener: something falls due earlier than thought; may be nil
	Freed       <-chan struct{}        // hints of the listener: a limit may have room; may be nil
	FreeSlots   func() int             // of the start loop
	HeldHosts   func() []task.HeldHost // of the start loop
	WakeStart   func()
	WakeDeliver func()
	Log         *slog.Logger // may be nil
}

// Chores are the pulse and the chores of one replica.
type Chores struct {
	config     Config
	store      Store
	log        *slog.Logger
	registered chan struct{} // closed by the pulse
	contact    contact
	list       []*chore
	wake       notify.Signal // limits that may have room were left over
	busy       atomic.Int32  // chores that run
	calm       notify.Signal
	pulseEvery time.Duration

	recheckedAll time.Time // used by the chore alone
}

// chore is one kind of work, done in chunks. The pulse sets its signal, its own goroutine reads it.
type chore struct {
	name    string
	level   slog.Level // of what it did
	due     notify.Signal
	run     func(ctx context.Context) (worked int, err error) // one chunk
	after   func()                                            // when it has done something
	lingers bool                                              // looks again for a while after there was work
}

// New makes the chores of a replica.
func New(c Config, store Store) *Chores {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Chores{config: c, store: store, log: log.With("component", "chores"), registered: make(chan struct{}), wake: notify.NewSignal(), calm: notify.NewSignal(), pulseEvery: pulseEvery}
	r.list = []*chore{
		// Most of what it looks at has only been heard of since.
		{"sweep_active", slog.LevelDebug, notify.NewSignal(), func(ctx context.Context) (int, error) {
			return store.SweepActive(ctx, chunk, c.ClaimTimeout)
		}, c.WakeStart, false},
		{"sweep_replicas", slog.LevelInfo, notify.NewSignal(), r.sweepReplicas, c.WakeStart, false},
		{"release_scheduled", slog.LevelDebug, notify.NewSignal(), func(ctx context.Context) (int, error) {
			return store.ReleaseScheduled(ctx, chunk)
		}, c.WakeStart, false},
		{"drain_dead_ends", slog.LevelDebug, notify.NewSignal(), func(ctx context.Context) (int, error) {
			return store.DrainDeadEnds(ctx, chunk)
		}, c.WakeDeliver, true},
		{"register_shapes", slog.LevelDebug, notify.NewSignal(), r.registerShapes, c.WakeStart, false},
		{"drop_shapes", slog.LevelDebug, notify.NewSignal(), r.dropShapes, func() {}, false},
		{"recheck_limits", slog.LevelDebug, notify.NewSignal(), r.recheckLimits, c.WakeStart, false},
		{"delete_idempotency_keys", slog.LevelDebug, notify.NewSignal(), func(ctx context.Context) (int, error) {
			return store.DeleteIdempotencyKeys(ctx, chunk, c.IdempotencyLife)
		}, func() {}, false},
	}
	return r
}

// Registered is closed after the first pulse. A replica must not claim before: nobody would miss it if it died.
func (r *Chores) Registered() <-chan struct{} { return r.registered }

// Run pulses until ctx ends. Chores are run until work ends, which may be earlier: a replica that stops still holds what
// its open calls are about, so its heart must beat until the last of them is settled.
func (r *Chores) Run(ctx, work context.Context) error {
	work, cancel := context.WithCancel(work)
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	var group sync.WaitGroup
	for _, c := range r.list {
		group.Go(func() { r.runDue(work, c) })
	}
	group.Go(func() { r.wakeParked(work) })
	if r.config.Retention != nil {
		group.Go(func() { r.retain(work, *r.config.Retention) })
	}
	r.beat(ctx)
	cancel()
	group.Wait()
	return nil
}

// runDue runs a chore whenever the pulse says that it is due.
func (r *Chores) runDue(ctx context.Context, c *chore) {
	trouble := outage.New(r.log, c.name)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		}
		r.busy.Add(1)
		r.runAwake(ctx, c, trouble)
		if r.busy.Add(-1) == 0 {
			r.calm.Set() // stamped as idle late, this replica would not be notified until the next pulse
		}
	}
}

// runAwake runs a chore. One that lingers is run again some times, as long as there is work: meanwhile this replica does
// not count as idle, so who makes more work spares the notification.
func (r *Chores) runAwake(ctx context.Context, c *chore, trouble *outage.Log) {
	for looks := lingerLooks; ; looks-- {
		worked, err := runChunks(ctx, c)
		if worked > 0 {
			r.log.Log(ctx, c.level, "chore done", "chore", c.name, "rows", worked)
			c.after()
			looks = lingerLooks
		}
		switch {
		case err == nil:
			trouble.Worked()
		case ctx.Err() == nil:
			trouble.Failed(err)
		}
		if !c.lingers || err != nil || looks == 0 || !sleep(ctx, lingerPause) {
			return
		}
	}
}

// runChunks does a chore, chunk after chunk, until there is nothing left.
func runChunks(ctx context.Context, c *chore) (worked int, err error) {
	for range maxChunks {
		n, err := runChunk(ctx, c)
		worked += n
		if err != nil || n < chunk {
			return worked, err
		}
		select {
		case <-ctx.Done():
			return worked, nil
		case <-time.After(chunkPause):
		}
	}
	return worked, nil
}

func runChunk(ctx context.Context, c *chore) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	n, err := c.run(ctx)
	if err != nil {
		return n, fmt.Errorf("chore %s: %w", c.name, err)
	}
	return n, nil
}

// sweepReplicas takes the claims of silent replicas back, if this replica may judge them.
func (r *Chores) sweepReplicas(ctx context.Context) (int, error) {
	if !r.contact.steady(time.Now()) {
		return 0, nil
	}
	return r.store.SweepReplicas(ctx, chunk, silence)
}

// handOut sets the signals of the due chores and returns how many it knows.
func (r *Chores) handOut(due []string) (known int) {
	for _, name := range due {
		if name == "wake_limits" {
			r.wake.Set()
			known++
		}
		for _, c := range r.list {
			if c.name == name {
				c.due.Set()
				known++
			}
		}
	}
	return known
}
