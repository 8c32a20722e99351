package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	perKey = 100 // tasks that share a limit
	fewest = 1000
	// wakeChunk is how many limits a replica looks at at once (internal/chores).
	wakeChunk = 5000
	// releases and starts are how many freed slots are measured at most.
	releases = 300
	starts   = 500
	// mostGap is the longest pause between a start and the next end: a replica is met awake, half awake and asleep.
	mostGap = 60 * time.Millisecond
)

// ruleRun is the scenario "rules".
type ruleRun struct {
	*run
	machine machine
	report  func(Measure)
	n       int
}

// Rules measures what limits cost: those they hold up, those they do not concern, and the tasks whose turn it is.
func Rules(ctx context.Context, c Config, report func(Measure)) error {
	if err := c.CheckHTTP(); err != nil {
		return err
	}
	r := &ruleRun{run: newRun(c), n: slices.Max(c.Sizes), report: report}
	return r.inDatabase(ctx, func(dsn string, held *pgxpool.Pool) error {
		backend, err := backendOf(ctx, held)
		if err != nil {
			return err
		}
		r.machine = newMachine(backend)
		if err := r.another(ctx, r.engine); err != nil {
			return err
		}
		for _, part := range []struct {
			name string
			run  func() error
		}{
			{"drain", func() error { return r.drains(ctx) }},
			{"held tasks in front", func() error { return r.inFront(ctx, held) }},
			{"held tasks beside", func() error { return r.beside(ctx) }},
			{"release", func() error { return r.release(ctx, held) }},
			{"from a free slot to the next start", func() error { return r.nextStart(ctx, dsn, held) }},
		} {
			r.Log.Info("measures", "part", part.name)
			if err := part.run(); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
		r.Log.Info("checks the invariants")
		return r.unbroken(ctx, r.seed, r.engine)
	})
}

// ruleSQL is the rules of tasks of a kind of which most may be active per key; without a limit for 0.
func ruleSQL(kind string, most int) string {
	if most == 0 {
		return "'[]'"
	}
	return fmt.Sprintf(`'[{"type": "Concurency", "max_concurency": %d, "matcher": {"status": "Running", "kind": "%s", "fields": ["key"]}}]'`, most, kind)
}

// insertKeyed creates n tasks on these keys, and has their rules counted.
func insertKeyed(ctx context.Context, pool *pgxpool.Pool, kind string, n, keys, most int) error {
	if _, err := pool.Exec(ctx, fmt.Sprintf(`with created as (
			insert into taskrunner.task (name, kind, timeout, metadata, rules)
			select 'keyed', '%s', 86400, jsonb_build_object('key', i %% %d), %s from generate_series(1, %d) i returning id)
		insert into taskrunner.action (task_id, trigger, params)
			select id, 'Start', '{"url": "http://127.0.0.1:9/start", "verb": "Post"}' from created`, kind, keys, ruleSQL(kind, most), n)); err != nil {
		return err
	}
	return registerShapes(ctx, pool)
}

func registerShapes(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		var counted *bool
		if err := pool.QueryRow(ctx, "select taskrunner_private.register_shape()").Scan(&counted); err != nil || counted == nil {
			return err
		}
	}
}

// series is a drain of its own database: with a number of workers, of tasks of which most may be active per key.
type series struct {
	workers, most int
	database      string
	left          int       // tasks
	rates, cpu    []float64 // by round
	took          time.Duration
	latencies     [2]float64 // the largest p50 and p99 of a round
}

// drains compares the same drain without rules, with 10 per key and with 1 per key, with one worker and with four. All are drained
// in turn, a part in each round, so that they meet the same machine; the last part ends with what is left of the fullest keys.
func (r *ruleRun) drains(ctx context.Context) error {
	keys := max(1, r.n/perKey)
	var all []*series
	for _, workers := range []int{1, 4} {
		for _, most := range []int{0, 10, 1} {
			s := &series{workers: workers, most: most, database: fmt.Sprintf("%s_%d_%d", r.floor, workers, most), left: r.n}
			all = append(all, s)
			r.Log.Info("seeds", "database", s.database, "tasks", r.n)
			if workers > 1 { // the same as with one
				r.more = append(r.more, s.database)
				if err := r.exec(ctx, "create database "+s.database+" template "+all[len(all)-4].database); err != nil {
					return err
				}
				continue
			}
			if err := r.another(ctx, s.database); err != nil {
				return err
			}
			if err := r.with(ctx, s.database, 1, func(pool *pgxpool.Pool) error {
				if err := insertKeyed(ctx, pool, "keyed", r.n, keys, most); err != nil {
					return err
				}
				_, err := pool.Exec(ctx, "vacuum analyze")
				return err
			}); err != nil {
				return fmt.Errorf("seed: %w", err)
			}
		}
	}
	if err := r.exec(ctx, "checkpoint"); err != nil {
		return err
	}
	for round := range rounds {
		for i := range all {
			s := all[(i+round)%len(all)] // nobody is always first
			if err := r.drainPart(ctx, s, s.left/(rounds-round), keys); err != nil {
				return err
			}
		}
	}
	for _, s := range all {
		r.report(Measure{Name: drainName(r.n, keys, s.most, s.workers), Unit: "tasks/s", Met: true, Value: float64(r.n) / s.took.Seconds(),
			P50: s.latencies[0], P99: s.latencies[1], CPU: median(slices.Clone(s.cpu)), Others: unknownShare})
	}
	for _, c := range []struct {
		name   string
		of, to *series
		target float64
	}{
		{"10 per key / no rules", all[1], all[0], 0.35},
		{"1 per key / no rules", all[2], all[0], 0.25},
		{"10 per key: 4 workers / 1", all[4], all[1], 1},
		{"1 per key: 4 workers / 1", all[5], all[2], 1},
	} {
		var ratios, byCPU []float64 // round by round
		for i := range rounds {
			ratios = append(ratios, c.of.rates[i]/c.to.rates[i])
			if c.of.cpu[i] > 0 {
				byCPU = append(byCPU, c.to.cpu[i]/c.of.cpu[i])
			}
		}
		r.ratio(c.name, median(ratios), median(byCPU), c.target)
	}
	worst, byCPU := 1.0, 1.0
	for _, s := range all {
		if s.most > 0 {
			worst = min(worst, slices.Min(s.rates)/slices.Max(s.rates))
			if most := slices.Max(s.cpu); most > 0 {
				byCPU = min(byCPU, slices.Min(s.cpu)/most)
			}
		}
	}
	r.ratio("slowest run with rules / fastest", worst, byCPU, 0.5)
	for _, s := range all {
		if err := r.unbroken(ctx, s.database); err != nil {
			return err
		}
		if err := r.drop(ctx, s.database); err != nil {
			return err
		}
	}
	return nil
}

// drainPart drains n tasks of a series.
func (r *ruleRun) drainPart(ctx context.Context, s *series, n, keys int) error {
	config := r.Config
	config.Workers = s.workers
	config.Batch = min(r.Batch, max(1, n/(2*s.workers))) // not much more than n
	measure := Measure{Name: fmt.Sprintf("%d of %s", n, drainName(r.n, keys, s.most, s.workers)), Unit: "tasks/s", Met: true}
	if err := r.with(ctx, s.database, config.Workers, func(pool *pgxpool.Pool) error {
		before, err := r.machine.read()
		result := Result{}
		if err := config.drain(ctx, pool, n, &result, s.most > 0); err != nil {
			return err
		}
		measure.Value, measure.P50, measure.P99 = result.Rate, result.P50, result.P99
		measure.took(r.machine.since(before, err), result.Tasks)
		s.left -= result.Tasks
		s.took += time.Duration(float64(result.Tasks) / result.Rate * float64(time.Second))
		return nil
	}); err != nil {
		return fmt.Errorf("%s: %w", measure.Name, err)
	}
	s.rates, s.cpu = append(s.rates, measure.Value), append(s.cpu, measure.CPU)
	s.latencies = [2]float64{max(s.latencies[0], measure.P50), max(s.latencies[1], measure.P99)}
	r.report(measure)
	return nil
}

func drainName(n, keys, most, workers int) string {
	rule := fmt.Sprintf("%d per key", most)
	if most == 0 {
		rule = "no rules"
	}
	return fmt.Sprintf("%d tasks on %d keys, %s, workers: %d", n, keys, rule, workers)
}

// ratio reports one that is to be at least target.
func (r *ruleRun) ratio(name string, value, byCPU, target float64) {
	r.report(Measure{Name: name, Value: value, Unit: "x", Target: fmt.Sprintf(">= %g", target), Met: value >= target, Others: unknownShare,
		ByCPU: byCPU})
}

// inFront has all keys taken, and creates n tasks that these hold, then two that nothing holds: one without rules, one with a key
// of its own. What they wait for is that claims look at all the others first.
func (r *ruleRun) inFront(ctx context.Context, pool *pgxpool.Pool) error {
	keys := max(1, r.n/perKey)
	replica := uuid.New()
	if err := insertKeyed(ctx, pool, "held", keys, keys, 1); err != nil {
		return err
	}
	for started := 0; started < keys; {
		claimed, _, err := startBatch(ctx, pool, replica, r.Batch)
		if err != nil {
			return err
		}
		started += len(claimed)
	}
	if _, err := pool.Exec(ctx, "vacuum analyze"); err != nil {
		return err
	}
	if err := insertKeyed(ctx, pool, "held", r.n, keys, 1); err != nil {
		return err
	}
	free := map[string]uuid.UUID{}
	for name, most := range map[string]int{"without rules": 0, "with a free key": 1} {
		var id uuid.UUID
		if err := pool.QueryRow(ctx, `insert into taskrunner.task (name, kind, timeout, metadata, rules)
			values ('free', 'held', 86400, jsonb_build_object('key', $1::text), `+ruleSQL("held", most)+`) returning id`, name).Scan(&id); err != nil {
			return err
		}
		free[name] = id
	}
	before, machineErr := r.machine.read()
	began := time.Now()
	for len(free) > 0 {
		started, _, err := startBatch(ctx, pool, replica, r.Batch)
		if err != nil {
			return err
		}
		for name, id := range free {
			if slices.ContainsFunc(started, func(t tryItem) bool { return t.TaskID == id }) {
				m := Measure{Name: fmt.Sprintf("a task %s behind %d held ones", name, r.n), Value: time.Since(began).Seconds(), Unit: "s", Target: "<= 5"}
				m.Met = m.Value <= 5
				m.took(r.machine.since(before, machineErr), r.n)
				r.report(m)
				delete(free, name)
			}
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("free tasks have not started: %v", free)
		}
	}
	return nil
}

// beside drains tasks without rules beside those that inFront has left parked, and beside as many that have ended.
func (r *ruleRun) beside(ctx context.Context) error {
	if err := r.with(ctx, r.engine, 1, func(pool *pgxpool.Pool) error { return seedEnded(ctx, pool, r.n+r.n/perKey) }); err != nil {
		return err
	}
	return r.compare(ctx, r.machine, r.n/2, fmt.Sprintf("parked: %d", r.n), 0.9, r.report)
}

// release frees slots of two limits in turn, one with few tasks parked and one with many, and has the next task claimed.
func (r *ruleRun) release(ctx context.Context, pool *pgxpool.Pool) error {
	replica := uuid.New()
	running := map[string]uuid.UUID{}
	counts := map[string]int{"few": min(fewest, r.n), "many": r.n}
	for _, kind := range []string{"few", "many"} {
		if err := insertKeyed(ctx, pool, kind, counts[kind], 1, 1); err != nil {
			return err
		}
		id, err := r.takeOne(ctx, pool, replica)
		if err != nil {
			return err
		}
		running[kind] = id
	}
	if _, err := pool.Exec(ctx, "vacuum analyze"); err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for range min(releases, counts["few"]/2) {
		for _, kind := range []string{"few", "many"} {
			began := time.Now()
			if err := report(ctx, pool, []tryItem{{TaskID: running[kind], Status: "Success"}}); err != nil {
				return err
			}
			if _, err := pool.Exec(ctx, "select taskrunner_private.wake_limits($1)", wakeChunk); err != nil {
				return err
			}
			id, err := r.takeOne(ctx, pool, replica)
			if err != nil {
				return err
			}
			took[kind] = append(took[kind], time.Since(began))
			running[kind] = id
		}
	}
	var middles []float64
	for _, kind := range []string{"few", "many"} {
		m := Measure{Name: fmt.Sprintf("end, wake and claim with %d parked", counts[kind]), Unit: "ms", Met: true, Others: unknownShare}
		m.P50, m.P99 = percentiles(took[kind])
		m.Value = m.P50
		middles = append(middles, m.P50)
		r.report(m)
	}
	m := Measure{Name: "release: many parked / few", Value: middles[1] / middles[0], Unit: "x", Target: "<= 1.5", Others: unknownShare}
	m.Met = m.Value <= 1.5
	r.report(m)
	return nil
}

// takeOne claims and starts until there is nothing left to decide: exactly one task starts.
func (r *ruleRun) takeOne(ctx context.Context, pool *pgxpool.Pool, replica uuid.UUID) (uuid.UUID, error) {
	var started []tryItem
	for again := true; again; {
		var claimed []tryItem
		var err error
		if claimed, again, err = startBatch(ctx, pool, replica, r.Batch); err != nil {
			return uuid.Nil, err
		}
		started = append(started, claimed...)
	}
	if len(started) != 1 {
		return uuid.Nil, fmt.Errorf("%d tasks started instead of one", len(started))
	}
	return started[0].TaskID, nil
}

// nextStart has a service start parked tasks of one limit, whose slot is freed again and again.
func (r *ruleRun) nextStart(ctx context.Context, dsn string, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, `insert into taskrunner.task (name, kind, timeout, metadata, rules)
		select 'next', 'next', 86400, '{"key": 1}', `+ruleSQL("next", 1)+` from generate_series(1, $1)`, min(starts, r.n)+1); err != nil {
		return err
	}
	service, err := r.startService(ctx, dsn, true)
	if err != nil {
		return err
	}
	defer service.stop() //nolint:errcheck // nothing depends on it
	running, err := awaitStart(ctx, pool)
	if err != nil {
		return err
	}
	count := min(starts, r.n)
	for parked := 0; parked < count; time.Sleep(10 * time.Millisecond) {
		if err := pool.QueryRow(ctx, "select count(*) from taskrunner_private.queued_task where kind = 'next' and state = 'parked'").
			Scan(&parked); err != nil {
			return err
		}
	}
	before, machineErr := r.machine.read()
	var took []time.Duration
	for range count {
		time.Sleep(rand.N(mostGap))
		if err := report(ctx, pool, []tryItem{{TaskID: running, Status: "Success"}}); err != nil {
			return err
		}
		freed := time.Now()
		if running, err = awaitStart(ctx, pool); err != nil {
			return err
		}
		took = append(took, time.Since(freed))
	}
	p50, p99 := percentiles(took) // sorts
	for _, q := range []struct {
		name string
		at   float64
	}{{"least", 0}, {"p10", 0.1}, {"p25", 0.25}, {"p50", 0.5}, {"p75", 0.75}, {"p90", 0.9}, {"p99", 0.99}, {"most", 1}} {
		m := Measure{Name: "a slot is free to the next start: " + q.name, Unit: "ms", Met: true, Others: unknownShare}
		m.Value = float64(took[int(q.at*float64(len(took)-1))].Microseconds()) / 1000
		if q.at == 0.5 {
			m.P50, m.P99, m.Target, m.Met = p50, p99, "<= 10", p50 <= 10
			m.took(r.machine.since(before, machineErr), count)
		}
		r.report(m)
	}
	return nil
}

// awaitStart polls until a task of nextStart runs. What it sees has been committed.
func awaitStart(ctx context.Context, pool *pgxpool.Pool) (id uuid.UUID, err error) {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
		err = pool.QueryRow(ctx, "select task_id from taskrunner_private.active_task where kind = 'next'").Scan(&id)
		if err != pgx.ErrNoRows {
			return id, err
		}
	}
	return id, fmt.Errorf("nothing has started for a minute")
}
