package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// webhookShare is which part of the size is completed in each measurement of the rate.
	webhookShare = 5
	// webhookSlots are the parallel on_start calls of the service, and the reports that the receiver sends at the same time.
	webhookSlots = 32
	// singles is how many tasks, and pairs of tasks, the measurements of latency create at most, one every singleEvery.
	singles     = 200
	singleEvery = 100 * time.Millisecond
	// receivers are the hosts of the measurement with one that hangs.
	receivers = 10
)

// webhookRun is the scenario "webhooks".
type webhookRun struct {
	*run
	pool     *pgxpool.Pool
	machine  machine
	report   func(Measure)
	receiver *child
	hosts    []string // addresses of the receiver; the last one hangs
}

// Webhooks measures tasks end to end: a service calls a receiver, which completes each task through its handle. Tasks per second; how
// long a single task waits, from its commit until its on_start has arrived, and a child, from the report of its parent; and what
// one host of ten that hangs costs the others.
func Webhooks(ctx context.Context, c Config, report func(Measure)) error {
	if err := c.CheckHTTP(); err != nil {
		return err
	}
	r := &webhookRun{run: newRun(c), report: report}
	return r.inDatabase(ctx, func(dsn string, pool *pgxpool.Pool) error {
		r.pool = pool
		return r.all(ctx, dsn)
	})
}

func (r *webhookRun) all(ctx context.Context, dsn string) error {
	backend, err := backendOf(ctx, r.pool)
	if err != nil {
		return err
	}
	r.machine = newMachine(backend)
	port, err := freePort()
	if err != nil {
		return err
	}
	service, err := r.startService(ctx, dsn, true, fmt.Sprint("--port=", port), fmt.Sprintf("--host-url=http://127.0.0.1:%d", port),
		fmt.Sprint("--worker-webhook-concurrency=", webhookSlots))
	if err != nil {
		return err
	}
	defer service.stop() //nolint:errcheck // nothing depends on it
	if r.receiver, err = r.startHelper(ctx, childSpec{Receive: &receiverSpec{Hosts: receivers, Hangs: true, Reports: webhookSlots}}, &r.hosts); err != nil {
		return fmt.Errorf("the receiver did not start: %w", err)
	}
	defer r.receiver.stop() //nolint:errcheck // and first of all: calls that hang end

	n := max(1, slices.Max(r.Sizes)/webhookShare)
	if _, err := r.complete(ctx, max(1, n/warmUpShare), r.hosts[:1]); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	if err := r.rate(ctx, n); err != nil {
		return fmt.Errorf("rate: %w", err)
	}
	// As autovacuum leaves it within a minute: until then claims step over what the queue has left dead.
	if _, err := r.pool.Exec(ctx, "vacuum analyze"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	if err := r.pickUp(ctx); err != nil {
		return fmt.Errorf("pick-up: %w", err)
	}
	if err := r.hop(ctx); err != nil {
		return fmt.Errorf("hop: %w", err)
	}
	if err := r.oneHangs(ctx, n); err != nil {
		return fmt.Errorf("one host hangs: %w", err)
	}
	return r.unbroken(ctx, r.seed)
}

// freePort is one that was free a moment ago: the service has to know it before it listens, as part of its handles.
func freePort() (int, error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer socket.Close()
	return socket.Addr().(*net.TCPAddr).Port, nil
}

// rate has n tasks completed, some times.
func (r *webhookRun) rate(ctx context.Context, n int) error {
	var rates []float64
	for range rounds {
		m, err := r.measure(ctx, fmt.Sprintf("%d tasks, webhook and report each", n), n, r.hosts[:1])
		if err != nil {
			return err
		}
		rates = append(rates, m.Value)
	}
	r.report(Measure{Name: "tasks end to end, median", Value: median(rates), Unit: "tasks/s", Target: ">= 2500", Met: median(rates) >= 2500,
		Others: unknownShare})
	return nil
}

// measure has n tasks of these hosts completed and reports how fast they were.
func (r *webhookRun) measure(ctx context.Context, name string, n int, hosts []string) (Measure, error) {
	before, machineErr := r.machine.read()
	took, err := r.complete(ctx, n, hosts)
	if err != nil {
		return Measure{}, err
	}
	m := Measure{Name: name, Value: float64(n) / took.Seconds(), Unit: "tasks/s", Met: true}
	m.took(r.machine.since(before, machineErr), n)
	r.report(m)
	return m, nil
}

// complete creates n tasks, spread over hosts, and says how long it took from their commit until all were done.
func (r *webhookRun) complete(ctx context.Context, n int, hosts []string) (time.Duration, error) {
	began, err := r.create(ctx, "webhook", n, hosts)
	if err != nil {
		return 0, err
	}
	if err := r.done(ctx); err != nil {
		return 0, err
	}
	// What is measured does not depend on how often one looks, which is seldom: a look goes over all that the queue has left dead.
	var took float64
	err = r.pool.QueryRow(ctx, `select extract(epoch from max(ended_at) - $1) from taskrunner.task where kind = 'webhook'`, began).Scan(&took)
	return time.Duration(took * float64(time.Second)), err
}

// create makes n tasks of a kind, each of the next host, and says when it was about to commit, by the database's clock.
func (r *webhookRun) create(ctx context.Context, kind string, n int, hosts []string) (commits time.Time, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `with created as (
				insert into taskrunner.task (name, kind, timeout) select 'task ' || i, $1, 86400 from generate_series(1, $2::int) i returning id, seq)
			insert into taskrunner.action (task_id, trigger, params)
				select id, 'Start', jsonb_build_object('url', 'http://' || ($3::text[])[1 + seq % cardinality($3::text[])] || '/start', 'verb', 'Post')
				from created order by seq`, kind, n, hosts); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "select clock_timestamp()").Scan(&commits)
	})
	return commits, err
}

// done waits until no task of kind webhook is left.
func (r *webhookRun) done(ctx context.Context) error {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var left bool
		if err := r.pool.QueryRow(ctx, `select exists (select from taskrunner_private.queued_task where kind = 'webhook')
				or exists (select from taskrunner_private.active_task where kind = 'webhook')`).Scan(&left); err != nil || !left {
			return err
		}
		if time.Since(began) > 5*time.Minute {
			return errors.New("tasks are left after five minutes")
		}
	}
}

// waited is how long what was created had to wait, by what the receiver has seen.
type waited func(committed time.Time, seen map[uuid.UUID]sighting) time.Duration

// pickUp measures single tasks from the moment before their commit until on_start has arrived.
func (r *webhookRun) pickUp(ctx context.Context) error {
	m := Measure{Name: "commit to on_start", Unit: "ms, p50", Target: "<= 4, p99 <= 20"}
	return r.singly(ctx, m, func(m Measure) bool { return m.P50 <= 4 && m.P99 <= 20 }, func(tx pgx.Tx) (waited, error) {
		id := uuid.New()
		return func(committed time.Time, seen map[uuid.UUID]sighting) time.Duration {
				return seen[id].Received.Sub(committed)
			},
			r.single(ctx, tx, id, nil)
	})
}

// hop measures pairs of parent and child from the report of the parent until the child's on_start has arrived.
func (r *webhookRun) hop(ctx context.Context) error {
	m := Measure{Name: "report of the parent to on_start of the child", Unit: "ms, p50", Target: "<= 6"}
	return r.singly(ctx, m, func(m Measure) bool { return m.P50 <= 6 }, func(tx pgx.Tx) (waited, error) {
		parent, child := uuid.New(), uuid.New()
		return func(_ time.Time, seen map[uuid.UUID]sighting) time.Duration {
			return seen[child].Received.Sub(seen[parent].Reported)
		}, errors.Join(r.single(ctx, tx, parent, nil), r.single(ctx, tx, child, &parent))
	})
}

// singly creates something in a transaction of its own, again and again, singleEvery apart, and reports how long it waited.
func (r *webhookRun) singly(ctx context.Context, m Measure, met func(Measure) bool, create func(pgx.Tx) (waited, error)) error {
	before, machineErr := r.machine.read()
	if _, err := r.seen(ctx); err != nil { // forgets
		return err
	}
	waits := make([]waited, min(singles, slices.Max(r.Sizes)))
	commits := make([]time.Time, len(waits))
	for i := range waits {
		if err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) (err error) {
			waits[i], err = create(tx)
			commits[i] = time.Now()
			return err
		}); err != nil {
			return err
		}
		time.Sleep(singleEvery)
	}
	if err := r.done(ctx); err != nil {
		return err
	}
	seen, err := r.seen(ctx)
	if err != nil {
		return err
	}
	took := make([]time.Duration, len(waits))
	for i, wait := range waits {
		took[i] = wait(commits[i], seen)
	}
	m.P50, m.P99 = percentiles(took)
	m.Value, m.Met = m.P50, met(m)
	m.took(r.machine.since(before, machineErr), len(took))
	r.report(m)
	return nil
}

// single creates one task, with a link to its parent.
func (r *webhookRun) single(ctx context.Context, tx pgx.Tx, id uuid.UUID, parent *uuid.UUID) error {
	if _, err := tx.Exec(ctx, "insert into taskrunner.task (id, name, kind, timeout) values ($1, 'single', 'webhook', 86400)", id); err != nil {
		return err
	}
	if parent != nil {
		if _, err := tx.Exec(ctx, "insert into taskrunner.link (parent_id, child_id) values ($1, $2)", *parent, id); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `insert into taskrunner.action (task_id, trigger, params)
		values ($1, 'Start', jsonb_build_object('url', 'http://' || $2::text || '/start', 'verb', 'Post'))`, id, r.hosts[0])
	return err
}

// seen asks the receiver what it has seen since the last time.
func (r *webhookRun) seen(ctx context.Context) (map[uuid.UUID]sighting, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.hosts[0]+seenPath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var seen map[uuid.UUID]sighting
	return seen, json.NewDecoder(resp.Body).Decode(&seen)
}

// oneHangs has the tasks of nine hosts completed, without and with as many tasks of a tenth that never answers, in turn.
func (r *webhookRun) oneHangs(ctx context.Context, n int) error {
	good := r.hosts[:receivers-1]
	var ratios []float64
	for round := range rounds + 1 { // an even number, so that each comes first as often as the other
		rates := map[bool]float64{}
		for _, hangs := range []bool{round%2 == 1, round%2 == 0} {
			m, err := r.nineHosts(ctx, n, good, hangs)
			if err != nil {
				return err
			}
			rates[hangs] = m.Value
		}
		ratios = append(ratios, rates[true]/rates[false])
	}
	r.report(Measure{Name: "nine hosts, one more hangs / nine hosts", Value: middle(ratios), Unit: "x", Target: ">= 0.9", Met: middle(ratios) >= 0.9,
		Others: unknownShare})
	return nil
}

// nineHosts has n tasks of good hosts completed; hangs: while as many of the last host as of each of them wait.
func (r *webhookRun) nineHosts(ctx context.Context, n int, good []string, hangs bool) (Measure, error) {
	name := fmt.Sprintf("%d tasks of %d hosts", n, len(good))
	if !hangs {
		return r.measure(ctx, name, n, good)
	}
	if _, err := r.create(ctx, "hangs", max(1, n/len(good)), r.hosts[len(good):]); err != nil {
		return Measure{}, err
	}
	m, err := r.measure(ctx, name+", one more hangs", n, good)
	if err != nil {
		return Measure{}, err
	}
	_, err = r.pool.Exec(ctx, `select taskrunner.cancel_tasks(array(
		select task_id from taskrunner_private.queued_task where kind = 'hangs' union all
		select task_id from taskrunner_private.active_task where kind = 'hangs'))`)
	return m, err
}
