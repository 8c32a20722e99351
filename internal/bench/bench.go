// Package bench measures the engine inside PostgreSQL with an executor that does nothing: claim, start, finish, as
// replicas do it, on graphs of five shapes; and in the same run the floor, the same rows written set-wise by plain
// SQL with triggers disabled and all ids known beforehand. Rates differ from machine to machine and from day to day;
// the ratio of the two compares.
//
// Scheduled measures what tasks of the future cost, and how soon after their moment they start; Rules what limits
// cost, and how soon a free slot is taken. Two more scenarios measure the
// service from outside, over HTTP: Reports (PUT and PATCH) and Submits (POST of large graphs). Webhooks measures it with a receiver
// that is called and reports, end to end. View measures the web page, in a browser.
// Service, servers for comparison and load client are processes of their own (child.go), and each measurement says what
// share of the machine others took meanwhile (machine.go).
package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/taskrunner/taskrunner/internal/migrate"
)

// Config says what to measure.
type Config struct {
	URL     string   // a server on which databases may be created; they are dropped afterwards
	Shapes  []string // of Shapes, or "insert"
	Sizes   []int    // tasks per graph
	Batch   int      // tasks per statement
	Workers int      // connections that claim and finish at once
	Log     *slog.Logger

	// Of Reports and Submits.
	Clients  int           // connections of the load client
	Duration time.Duration // of each measurement
	Pgbench  string        // the program, of Reports; "": a loop of our own
	Chromium string        // the program, of View; "": without one
	// Command makes this program's own command line with these arguments.
	Command func(ctx context.Context, args ...string) *exec.Cmd
}

// Result is one shape at one size.
type Result struct {
	Shape string `json:"shape"`
	Tasks int    `json:"tasks"`
	// Rate and Floor are tasks per second of the engine and of the floor; Ratio is the first divided by the second.
	Rate  float64 `json:"tasks_per_second"`
	Floor float64 `json:"floor_per_second"`
	Ratio float64 `json:"ratio"`
	// Milliseconds from a claim to the commit of its result; for insert of the whole statement.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Per task, of the engine.
	WALBytes float64 `json:"wal_bytes_per_task"`
	Commits  float64 `json:"commits_per_task"`
	// Share of updates of task that stayed on their page without touching an index.
	HOT float64 `json:"hot_ratio"`
	// Dead rows of all tables at the end.
	DeadRows int64 `json:"dead_rows"`
}

// run is one Run with the names of its databases. They are its own, so that two on one server do not destroy each
// other's.
type run struct {
	Config
	admin               *pgx.Conn
	seed, engine, floor string
	more                []string // made by another
}

// prefix begins the names of all databases of all runs.
const prefix = "taskrunner_bench_"

func newRun(c Config) *run {
	own := prefix + strings.ToLower(rand.Text()[:10])
	return &run{Config: c, seed: own + "_seed", engine: own + "_engine", floor: own + "_floor"}
}

// Run measures every shape at every size, in order, and hands each result to report as it comes. Its databases are
// dropped at the end, also when the context ends.
func Run(ctx context.Context, c Config, report func(Result)) error {
	if err := c.Check(); err != nil {
		return err
	}
	return newRun(c).all(ctx, report)
}

func (r *run) all(ctx context.Context, report func(Result)) (err error) {
	if r.admin, err = pgx.Connect(ctx, r.URL); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer r.cleanup(context.WithoutCancel(ctx))
	if err := r.others(ctx); err != nil {
		return err
	}
	for _, name := range r.Shapes {
		for _, n := range r.Sizes {
			result, err := r.measure(ctx, name, n)
			if err != nil {
				return fmt.Errorf("%s of %d tasks: %w", name, n, err)
			}
			report(result)
		}
	}
	return nil
}

// cleanupTimeout is long: to drop a database, a server with much else to do writes all of that to disk first.
const cleanupTimeout = 5 * time.Minute

// cleanup drops the databases. The connection may have ended with the server, or with the context.
func (r *run) cleanup(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	defer func() { _ = r.admin.Close(ctx) }()
	if r.admin.IsClosed() {
		admin, err := pgx.Connect(ctx, r.URL)
		if err != nil {
			r.Log.Warn("bench databases left behind", "databases", r.databases(), "error", err)
			return
		}
		r.admin = admin
	}
	for _, name := range r.databases() {
		if err := r.drop(ctx, name); err != nil {
			r.Log.Warn("bench database left behind", "database", name, "error", err)
		}
	}
}

func (r *run) databases() []string { return append([]string{r.seed, r.engine, r.floor}, r.more...) }

// others tells of databases of other runs: either these disturb the measurement, or they were killed.
func (r *run) others(ctx context.Context) error {
	var names []string
	if err := r.admin.QueryRow(ctx, `select coalesce(array_agg(datname::text order by datname), '{}') from pg_database
		where starts_with(datname::text, $1)`, prefix).Scan(&names); err != nil {
		return fmt.Errorf("look for other benches: %w", err)
	}
	if len(names) > 0 {
		r.Log.Warn("databases of another bench: it runs at the same time and disturbs this one, or it was killed and they can be dropped",
			"databases", names)
	}
	return nil
}

func (r *run) measure(ctx context.Context, name string, n int) (Result, error) {
	if err := r.fresh(ctx); err != nil {
		return Result{}, err
	}
	if name == insertName {
		return r.measureInsert(ctx, n)
	}
	shape, ok := shapeByName(name)
	if !ok {
		return Result{}, fmt.Errorf("unknown shape") // Check has refused it
	}
	if err := r.with(ctx, r.seed, 1, func(pool *pgxpool.Pool) error { return seed(ctx, pool, shape, n) }); err != nil {
		return Result{}, fmt.Errorf("seed: %w", err)
	}
	result := Result{Shape: name, Tasks: n}
	if err := r.copySeed(ctx, r.floor); err != nil {
		return Result{}, err
	}
	if err := r.with(ctx, r.floor, r.Workers, func(pool *pgxpool.Pool) (err error) {
		result.Floor, err = r.runFloor(ctx, pool)
		return err
	}); err != nil {
		return Result{}, fmt.Errorf("floor: %w", err)
	}
	if err := r.drop(ctx, r.floor); err != nil {
		return Result{}, err
	}
	if err := r.copySeed(ctx, r.engine); err != nil {
		return Result{}, err
	}
	if err := r.with(ctx, r.engine, r.Workers, func(pool *pgxpool.Pool) error {
		return r.runEngine(ctx, pool, n, &result)
	}); err != nil {
		return Result{}, fmt.Errorf("engine: %w", err)
	}
	result.Ratio = result.Rate / result.Floor
	return result, r.drop(ctx, r.engine)
}

// fresh makes an empty database with the engine in it.
func (r *run) fresh(ctx context.Context) error {
	if err := r.drop(ctx, r.seed); err != nil {
		return err
	}
	if err := r.exec(ctx, "create database "+r.seed+" template template0 encoding 'UTF8'"); err != nil {
		return err
	}
	dsn, err := withDatabase(r.URL, r.seed)
	if err != nil {
		return err
	}
	_, err = migrate.Up(ctx, dsn, slog.New(slog.DiscardHandler))
	return err
}

// copySeed makes a copy of the seeded database.
func (r *run) copySeed(ctx context.Context, name string) error {
	if err := r.drop(ctx, name); err != nil {
		return err
	}
	if err := r.exec(ctx, "create database "+name+" template "+r.seed); err != nil {
		return err
	}
	return r.exec(ctx, "checkpoint")
}

func (r *run) drop(ctx context.Context, name string) error {
	return r.exec(ctx, "drop database if exists "+name+" with (force)")
}

// exec runs a statement about databases to its end, which takes seconds: given up in the middle it would go on in the
// server, and make a database when all have been dropped.
func (r *run) exec(ctx context.Context, sql string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := r.admin.Exec(context.WithoutCancel(ctx), sql)
	return err
}

// with runs f on a pool of exactly n connections.
func (r *run) with(ctx context.Context, database string, n int, f func(*pgxpool.Pool) error) error {
	dsn, err := withDatabase(r.URL, database)
	if err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return err
	}
	config.MaxConns, config.MinConns = int32(n), int32(n)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	return f(pool)
}

func withDatabase(dsn, database string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
		return "", fmt.Errorf("DATABASE_URL must have the form postgres://…")
	}
	u.Path = "/" + database
	return u.String(), nil
}

// inParallel runs f on n goroutines and returns the first error.
func inParallel(ctx context.Context, n int, f func(ctx context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error { return f(ctx) })
	}
	return g.Wait()
}
