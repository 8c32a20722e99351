// Package bench measures the engine inside PostgreSQL with an executor that does nothing: claim, start, finish, as
// replicas do it, on graphs of five shapes; and in the same run the floor, the same rows written set-wise by plain
// SQL with triggers disabled and all ids known beforehand. Rates differ from machine to machine and from day to day;
// the ratio of the two compares.
package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
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

const (
	seedDB   = "taskrunner_bench_seed"
	engineDB = "taskrunner_bench_engine"
	floorDB  = "taskrunner_bench_floor"
)

// Run measures every shape at every size, in order, and hands each result to report as it comes.
func Run(ctx context.Context, c Config, report func(Result)) error {
	admin, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer admin.Close(context.WithoutCancel(ctx))
	defer func() {
		dropCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, name := range []string{seedDB, engineDB, floorDB} {
			if err := drop(dropCtx, admin, name); err != nil {
				c.Log.Warn("bench database left behind", "database", name, "error", err)
			}
		}
	}()
	for _, name := range c.Shapes {
		for _, n := range c.Sizes {
			result, err := c.measure(ctx, admin, name, n)
			if err != nil {
				return fmt.Errorf("%s of %d tasks: %w", name, n, err)
			}
			report(result)
		}
	}
	return nil
}

func (c Config) measure(ctx context.Context, admin *pgx.Conn, name string, n int) (Result, error) {
	if err := c.fresh(ctx, admin, seedDB); err != nil {
		return Result{}, err
	}
	if name == insertName {
		return c.measureInsert(ctx, n)
	}
	shape, ok := shapeByName(name)
	if !ok {
		return Result{}, fmt.Errorf("unknown shape")
	}
	if err := c.with(ctx, seedDB, 1, func(pool *pgxpool.Pool) error { return seed(ctx, pool, shape, n) }); err != nil {
		return Result{}, fmt.Errorf("seed: %w", err)
	}
	result := Result{Shape: name, Tasks: n}
	if err := copyDatabase(ctx, admin, floorDB); err != nil {
		return Result{}, err
	}
	if err := c.with(ctx, floorDB, c.Workers, func(pool *pgxpool.Pool) (err error) {
		result.Floor, err = c.runFloor(ctx, pool)
		return err
	}); err != nil {
		return Result{}, fmt.Errorf("floor: %w", err)
	}
	if err := drop(ctx, admin, floorDB); err != nil {
		return Result{}, err
	}
	if err := copyDatabase(ctx, admin, engineDB); err != nil {
		return Result{}, err
	}
	if err := c.with(ctx, engineDB, c.Workers, func(pool *pgxpool.Pool) error {
		return c.runEngine(ctx, pool, n, &result)
	}); err != nil {
		return Result{}, fmt.Errorf("engine: %w", err)
	}
	result.Ratio = result.Rate / result.Floor
	return result, drop(ctx, admin, engineDB)
}

// fresh makes an empty database with the engine in it.
func (c Config) fresh(ctx context.Context, admin *pgx.Conn, name string) error {
	if err := drop(ctx, admin, name); err != nil {
		return err
	}
	if _, err := admin.Exec(ctx, "create database "+name); err != nil {
		return err
	}
	dsn, err := withDatabase(c.URL, name)
	if err != nil {
		return err
	}
	_, err = migrate.Up(ctx, dsn, slog.New(slog.DiscardHandler))
	return err
}

func copyDatabase(ctx context.Context, admin *pgx.Conn, name string) error {
	if err := drop(ctx, admin, name); err != nil {
		return err
	}
	if _, err := admin.Exec(ctx, "create database "+name+" template "+seedDB); err != nil {
		return err
	}
	_, err := admin.Exec(ctx, "checkpoint")
	return err
}

func drop(ctx context.Context, admin *pgx.Conn, name string) error {
	_, err := admin.Exec(ctx, "drop database if exists "+name+" with (force)")
	return err
}

// with runs f on a pool of exactly n connections.
func (c Config) with(ctx context.Context, database string, n int, f func(*pgxpool.Pool) error) error {
	dsn, err := withDatabase(c.URL, database)
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
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("the database URL must have the form postgres://…")
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
