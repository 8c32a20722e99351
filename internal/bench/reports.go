package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What remote sides send.
const (
	putBody   = `{"new_success": 1}`
	patchBody = `{"status": "Success"}`
)

const (
	// rounds is how often each measurement is made; in turn with what it is compared with, so that both meet the same
	// machine. The median of the ratios counts.
	rounds = 3
	// spread is how many tasks PUT is spread over.
	spread = 1000
	// perSecond is more PATCH requests than the service answers in a second.
	perSecond = 15_000
	// warmUpShare is the part of a measurement that comes before it.
	warmUpShare = 4
)

// Measure is a line of an HTTP scenario: one series, or a ratio of two.
type Measure struct {
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	P50      float64 `json:"p50_ms,omitempty"`
	P99      float64 `json:"p99_ms,omitempty"`
	Target   string  `json:"target,omitempty"`       // of a ratio, "" when there is none
	Met      bool    `json:"met"`                    // true without a target
	Others   float64 `json:"others_share"`           // of the machine, at most; -1: unknown
	CPU      float64 `json:"cpu_us,omitempty"`       // processor time per request of all our processes, database and client included
	ByCPU    float64 `json:"ratio_by_cpu,omitempty"` // the ratio of processor times, upside down: others at work disturb it less
	requests int
}

// took notes what n requests took of the machine.
func (m *Measure) took(l load, n int) {
	m.Others = l.others
	if n > 0 {
		m.CPU = float64(l.own.Microseconds()) / float64(n)
	}
}

// reportRun is the scenario "report".
type reportRun struct {
	*run
	pool    *pgxpool.Pool
	machine machine
	ids     []uuid.UUID // running tasks
	series  map[string][]Measure
}

// Reports measures PUT and PATCH of the service against the same HTTP server without a database, against a transaction for
// each request, and against the commit of a single row. Each ratio has its target.
func Reports(ctx context.Context, c Config, report func(Measure)) error {
	if err := c.CheckHTTP(); err != nil {
		return err
	}
	r := &reportRun{run: newRun(c), series: map[string][]Measure{}}
	return r.inDatabase(ctx, func(dsn string, pool *pgxpool.Pool) error {
		r.pool = pool
		return r.all(ctx, dsn, report)
	})
}

// inDatabase runs f on an empty database with the engine in it.
func (r *run) inDatabase(ctx context.Context, f func(dsn string, pool *pgxpool.Pool) error) (err error) {
	if r.admin, err = pgx.Connect(ctx, r.URL); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer r.cleanup(context.WithoutCancel(ctx))
	if err := r.others(ctx); err != nil {
		return err
	}
	if err := r.fresh(ctx); err != nil {
		return err
	}
	dsn, err := withDatabase(r.URL, r.seed)
	if err != nil {
		return err
	}
	return r.with(ctx, r.seed, 4, func(pool *pgxpool.Pool) error { return f(dsn, pool) })
}

func backendOf(ctx context.Context, pool *pgxpool.Pool) (pid int, err error) {
	err = pool.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
	return pid, err
}

func (r *reportRun) all(ctx context.Context, dsn string, report func(Measure)) error {
	backend, err := backendOf(ctx, r.pool)
	if err != nil {
		return err
	}
	r.machine = newMachine(backend)
	patches := rounds * int((r.Duration+r.Duration/warmUpShare).Seconds()*perSecond)
	if err := r.seedRunning(ctx, patches+spread); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	floor, err := r.startServer(ctx, serverSpec{})
	if err != nil {
		return err
	}
	defer floor.stop() //nolint:errcheck // nothing depends on it
	single, err := r.startServer(ctx, serverSpec{DSN: dsn, Conns: 20})
	if err != nil {
		return err
	}
	defer single.stop() //nolint:errcheck
	service, err := r.startService(ctx, dsn, false)
	if err != nil {
		return err
	}
	defer service.stop() //nolint:errcheck

	put := loadSpec{Method: http.MethodPut, Body: putBody, Want: http.StatusAccepted, IDs: r.ids[patches:], Clients: r.Clients}
	one := put
	one.IDs = put.IDs[:1]
	alone := put
	alone.Clients = 1
	for round := range rounds {
		share := patches / rounds
		patch := loadSpec{Method: http.MethodPatch, Body: patchBody, Want: http.StatusOK, Once: true, Clients: r.Clients,
			IDs: r.ids[round*share : (round+1)*share]}
		nothing := patch
		nothing.Once = false // it takes them as often as they come, and faster than there are any
		for _, m := range []struct {
			name   string
			server *child
			load   loadSpec
		}{
			{"PUT without a database", floor, put}, {"PUT", service, put}, {"PUT, a transaction each", single, put},
			{"PUT of one task", service, one},
			{"PATCH without a database", floor, nothing}, {"PATCH Success", service, patch},
			{"PUT, one client", service, alone},
		} {
			if err := r.load(ctx, m.name, m.server, m.load, report); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		if err := r.commits(ctx, dsn, report); err != nil {
			return fmt.Errorf("single-row commits: %w", err)
		}
	}
	for _, m := range ratios(r.series) {
		report(m)
	}
	return r.sound(ctx)
}

// load runs one measurement.
func (r *reportRun) load(ctx context.Context, name string, server *child, spec loadSpec, report func(Measure)) error {
	spec.URL, spec.WarmUp, spec.Measure = server.url, r.Duration/warmUpShare, r.Duration
	before, err := r.machine.read()
	var result loadResult
	if err := r.ask(ctx, childSpec{Load: &spec}, &result); err != nil {
		return err
	}
	m := Measure{
		Name: name, Value: float64(result.Requests) / result.Seconds, Unit: "requests/s", P50: result.P50, P99: result.P99, Met: true,
		requests: result.Requests,
	}
	m.took(r.machine.since(before, err), result.All)
	r.series[name] = append(r.series[name], m)
	report(m)
	return nil
}

// ratios compares the series, round by round.
func ratios(all map[string][]Measure) []Measure {
	rate := func(m Measure) float64 { return m.Value }
	p50 := func(m Measure) float64 { return m.P50 }
	list := make([]Measure, 0, 6)
	for _, c := range []struct {
		name, of, to string
		value        func(Measure) float64
		target       float64
		most         bool
	}{
		{"PUT / without a database", "PUT", "PUT without a database", rate, 0.33, false},
		{"PUT of one task / without a database", "PUT of one task", "PUT without a database", rate, 0.33, false},
		{"PUT / a transaction each", "PUT", "PUT, a transaction each", rate, 4, false},
		{"PATCH / without a database", "PATCH Success", "PATCH without a database", rate, 0.20, false},
		{"PUT, one client: p50 / single-row commit", "PUT, one client", "single-row commit", p50, 2.5, true},
	} {
		of, to := all[c.of], all[c.to]
		var values, byCPU []float64
		m := Measure{Name: c.name, Unit: "ratio"}
		for i := range of {
			values = append(values, c.value(of[i])/c.value(to[i]))
			if of[i].CPU > 0 && !c.most {
				byCPU = append(byCPU, to[i].CPU/of[i].CPU)
			}
			m.Others = max(m.Others, of[i].Others, to[i].Others)
		}
		m.Value, m.ByCPU = median(values), median(byCPU)
		if m.Met, m.Target = m.Value >= c.target, fmt.Sprintf(">= %g", c.target); c.most {
			m.Met, m.Target = m.Value <= c.target, fmt.Sprintf("<= %g", c.target)
		}
		list = append(list, m)
	}
	return list
}

// median is 0 for no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// seedRunning makes n running tasks, each with a Start action.
func (r *reportRun) seedRunning(ctx context.Context, n int) error {
	for _, sql := range []string{
		"insert into taskrunner.batch (id, name) values ('00000000-0000-4000-8000-0000000000b1', 'bench')",
		fmt.Sprintf(`insert into taskrunner.task (batch_id, name, kind, timeout, metadata)
			select '00000000-0000-4000-8000-0000000000b1', 'task ' || i, 'bench', 86400, '{"tenant": "a"}' from generate_series(1, %d) i`, n),
		`insert into taskrunner.action (task_id, trigger, params)
			select id, 'Start', '{"url": "http://127.0.0.1:9/start", "verb": "Post"}' from taskrunner.task order by seq`,
	} {
		if _, err := r.pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	replica := uuid.New()
	for started := 0; started < n; {
		claimed, _, err := startBatch(ctx, r.pool, replica, 1000)
		if err != nil {
			return err
		}
		started += len(claimed)
	}
	if _, err := r.pool.Exec(ctx, "vacuum analyze"); err != nil {
		return err
	}
	if _, err := r.pool.Exec(ctx, "checkpoint"); err != nil {
		return err
	}
	rows, err := r.pool.Query(ctx, "select id from taskrunner.task where status = 'Running' order by seq")
	if err != nil {
		return err
	}
	r.ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return err
}

// sound is the end of the run: what was acknowledged is there, and no rule of the engine is broken.
func (r *reportRun) sound(ctx context.Context) error {
	var ended, counted, broken, deadlocks int64
	if err := r.pool.QueryRow(ctx, `select (select count(*) from taskrunner.task where status = 'Success'),
			(select sum(success) from taskrunner.task), (select count(*) from taskrunner.check_invariants()),
			(select deadlocks from pg_stat_database where datname = current_database())`).
		Scan(&ended, &counted, &broken, &deadlocks); err != nil {
		return err
	}
	var patches, puts int
	for name, series := range r.series {
		for _, m := range series {
			switch name {
			case "PATCH Success":
				patches += m.requests
			case "PUT", "PUT, a transaction each", "PUT of one task", "PUT, one client":
				puts += m.requests
			}
		}
	}
	if ended < int64(patches) || counted < int64(puts) || broken+deadlocks > 0 {
		return fmt.Errorf("after the run: %d of %d tasks ended, %d of %d counted, %d broken invariants, %d deadlocks",
			ended, patches, counted, puts, broken, deadlocks)
	}
	return nil
}
