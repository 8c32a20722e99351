package bench

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/migrate"
)

const (
	// futureFactor is how many tasks are to start some day, per task that is drained.
	futureFactor = 10
	// moments is how many tasks of the measurement of latency fall due, one after the other, dueEvery apart.
	moments  = 1000
	dueEvery = 10 * time.Millisecond
)

// Scheduled measures whether tasks with a future run_at cost the claim anything: the same drain beside many of them and
// beside as many that have ended, in turn, in two databases. Then a service starts tasks beside them, and it counts how long after its run_at each one is
// claimed.
func Scheduled(ctx context.Context, c Config, report func(Measure)) error {
	if err := c.CheckHTTP(); err != nil {
		return err
	}
	r, n := newRun(c), slices.Max(c.Sizes)
	return r.inDatabase(ctx, func(dsn string, pool *pgxpool.Pool) error {
		backend, err := backendOf(ctx, pool)
		if err != nil {
			return err
		}
		m := newMachine(backend)
		if err := r.another(ctx, r.engine); err != nil {
			return err
		}
		r.Log.Info("seeds", "tasks", futureFactor*n)
		if err := seedFuture(ctx, pool, futureFactor*n); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		if err := r.with(ctx, r.engine, 1, func(pool *pgxpool.Pool) error { return seedEnded(ctx, pool, futureFactor*n) }); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		if err := r.compare(ctx, m, max(1, n/2), fmt.Sprintf("future: %d", futureFactor*n), 0.95, report); err != nil {
			return err
		}
		if err := r.startedOnTime(ctx, m, dsn, pool, report); err != nil {
			return fmt.Errorf("latency: %w", err)
		}
		r.Log.Info("checks the invariants")
		return r.unbroken(ctx, r.engine, r.seed)
	})
}

// compare drains n tasks in two databases in turn: where many others lie in the queue, and where as many have ended.
func (r *run) compare(ctx context.Context, m machine, n int, others string, target float64, report func(Measure)) error {
	var ratios, byCPU []float64
	for round := range rounds + 1 { // an even number, so that each comes first as often as the other
		var rates, cpu [2]float64
		for turn := range 2 {
			i := (turn + round) % 2
			beside := []struct{ name, database string }{{"beside as many ended", r.engine}, {"beside " + others, r.seed}}[i]
			before, machineErr := m.read()
			if err := r.with(ctx, beside.database, r.Workers, func(pool *pgxpool.Pool) (err error) {
				rates[i], err = r.drainReady(ctx, pool, n)
				return err
			}); err != nil {
				return fmt.Errorf("drain %s: %w", beside.name, err)
			}
			measure := Measure{Name: fmt.Sprintf("%d tasks %s", n, beside.name), Value: rates[i], Unit: "tasks/s", Met: true}
			measure.took(m.since(before, machineErr), n)
			cpu[i] = measure.CPU
			report(measure)
		}
		ratios = append(ratios, rates[1]/rates[0])
		byCPU = append(byCPU, cpu[0]/cpu[1])
	}
	ratio := middle(ratios)
	report(Measure{Name: fmt.Sprintf("beside %s / as many ended", others), Value: ratio, Unit: "x", Target: fmt.Sprintf(">= %g", target),
		Met: ratio >= target, Others: unknownShare, ByCPU: middle(byCPU)})
	return nil
}

// middle is the median of an even number of values.
func middle(values []float64) float64 {
	slices.Sort(values)
	return (values[len(values)/2-1] + values[len(values)/2]) / 2
}

// another makes one more empty database with the engine in it.
func (r *run) another(ctx context.Context, name string) error {
	r.more = append(r.more, name)
	if err := r.exec(ctx, "create database "+name+" template template0 encoding 'UTF8'"); err != nil {
		return err
	}
	dsn, err := withDatabase(r.URL, name)
	if err != nil {
		return err
	}
	_, err = migrate.Up(ctx, dsn, slog.New(slog.DiscardHandler))
	return err
}

// seedFuture writes n tasks that are to start in a year, without the triggers, which would only take long.
func seedFuture(ctx context.Context, pool *pgxpool.Pool, n int) error {
	return seedWith(ctx, pool, n, `insert into taskrunner.task (name, kind, priority, run_at)
			select 'future ' || i, 'bench', 100, now() + interval '1 year' + i * interval '1 second' from generate_series(1, $1::int) i;
		insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind)
			select id, seq, created_at, run_at, priority, 'scheduled', kind from taskrunner.task`)
}

// seedEnded writes n tasks that have ended, so that a database is as large as another one whose tasks have not.
func seedEnded(ctx context.Context, pool *pgxpool.Pool, n int) error {
	return seedWith(ctx, pool, n, `insert into taskrunner.task (name, kind, priority, status, started_at, ended_at)
			select 'ended ' || i, 'bench', 100, 'Success', now(), now() from generate_series(1, $1::int) i;
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
			select id, seq, created_at, ended_at, status, kind from taskrunner.task`)
}

func seedWith(ctx context.Context, pool *pgxpool.Pool, n int, inserts string) error {
	for _, sql := range []string{
		substitute("begin; set local session_replication_role = replica; "+inserts+"; commit", n), "vacuum analyze", "checkpoint",
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// drainReady creates n tasks and drains them.
func (r *run) drainReady(ctx context.Context, pool *pgxpool.Pool, n int) (rate float64, err error) {
	if _, err := pool.Exec(ctx, substitute(`with created as (
			insert into taskrunner.task (name, kind) select 'ready ' || i, 'bench' from generate_series(1, $1::int) i returning id)
		insert into taskrunner.action (task_id, trigger, params)
			select id, 'Start', '{"url": "http://127.0.0.1:9/start", "verb": "Post"}' from created`, n)); err != nil {
		return 0, err
	}
	result := Result{}
	if err := r.drain(ctx, pool, n, &result, false); err != nil {
		return 0, err
	}
	return result.Rate, nil
}

// startedOnTime has a service start tasks that fall due one after the other: known long before, and each created a moment before.
func (r *run) startedOnTime(ctx context.Context, m machine, dsn string, pool *pgxpool.Pool, report func(Measure)) error {
	service, err := r.startService(ctx, dsn, true)
	if err != nil {
		return err
	}
	defer service.stop() //nolint:errcheck // nothing depends on it
	before, machineErr := m.read()
	if _, err := pool.Exec(ctx, `insert into taskrunner.task (name, kind, timeout, run_at)
		select 'known', 'bench', 86400, now() + interval '3 seconds' + i * $2::float8 * interval '1 second' from generate_series(1, $1::int) i`,
		moments, dueEvery.Seconds()); err != nil {
		return err
	}
	if err := reportLatency(ctx, m, before, machineErr, pool, "known", report); err != nil {
		return err
	}
	before, machineErr = m.read()
	for range moments {
		if _, err := pool.Exec(ctx, `insert into taskrunner.task (name, kind, timeout, run_at)
			values ('brought forward', 'bench', 86400, clock_timestamp() + interval '100 milliseconds')`); err != nil {
			return err
		}
		time.Sleep(dueEvery)
	}
	return reportLatency(ctx, m, before, machineErr, pool, "brought forward", report)
}

// reportLatency waits until all these tasks run, and reports how long after their run_at they were claimed.
func reportLatency(ctx context.Context, m machine, before usage, machineErr error, pool *pgxpool.Pool, name string, report func(Measure)) error {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var running int
		measure := Measure{Name: "run_at to start, " + name, Unit: "ms, most", Met: true}
		if err := pool.QueryRow(ctx, `select count(ms), coalesce(max(ms), 0), coalesce(percentile_cont(0.5) within group (order by ms), 0),
				coalesce(percentile_cont(0.99) within group (order by ms), 0)
			from (select extract(epoch from started_at - run_at)::float8 * 1000 as ms from taskrunner.task
				where created_at > now() - interval '1 hour' and name = $1) t`, name).Scan(&running, &measure.Value, &measure.P50, &measure.P99); err != nil {
			return err
		}
		if running == moments {
			measure.Target, measure.Met = "<= 1000", measure.Value <= 1000
			measure.took(m.since(before, machineErr), moments)
			report(measure)
			return nil
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("%d of %d tasks have started", running, moments)
		}
	}
}

// unbroken is the end of the run.
func (r *run) unbroken(ctx context.Context, databases ...string) error {
	for _, database := range databases {
		if err := r.with(ctx, database, 1, func(pool *pgxpool.Pool) error {
			var broken, deadlocks int
			if err := pool.QueryRow(ctx, `select (select count(*) from taskrunner.check_invariants()),
				(select deadlocks from pg_stat_database where datname = current_database())`).Scan(&broken, &deadlocks); err != nil {
				return err
			}
			if broken+deadlocks > 0 {
				return fmt.Errorf("%d broken invariants, %d deadlocks", broken, deadlocks)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
