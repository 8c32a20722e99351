package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// Every shape drains to success on the engine and on the floor, and the numbers say so.
func TestRun(t *testing.T) {
	db := testdb.NewEmpty(t)
	var results []Result
	err := Run(t.Context(), Config{
		URL: db.DSN, Shapes: Shapes(), Sizes: []int{400}, Batch: 50, Workers: 2, Log: slog.New(slog.DiscardHandler),
	}, func(r Result) { results = append(results, r) })
	require.NoError(t, err)
	require.Len(t, results, len(Shapes()))
	for i, r := range results {
		require.Equal(t, Shapes()[i], r.Shape)
		require.Equal(t, 400, r.Tasks)
		require.Positive(t, r.Rate, r.Shape)
		require.Positive(t, r.Floor, r.Shape)
		require.InDelta(t, r.Rate/r.Floor, r.Ratio, 1e-9, r.Shape)
		require.Positive(t, r.P50, r.Shape)
		require.GreaterOrEqual(t, r.P99, r.P50, r.Shape)
		require.Greater(t, r.WALBytes, 300.0, r.Shape)
	}

	var table, array bytes.Buffer
	require.NoError(t, WriteTable(&table, results))
	require.Equal(t, len(results)+1, bytes.Count(table.Bytes(), []byte("\n")))
	require.NoError(t, WriteJSON(&array, results))
	var again []Result
	require.NoError(t, json.Unmarshal(array.Bytes(), &again))
	require.Equal(t, results, again)
}

// Without a graph there is nothing to measure: every wrong setting is named before anything is done.
func TestCheck(t *testing.T) {
	t.Parallel()
	good := Config{Shapes: Shapes(), Sizes: []int{20, maxTasks}, Batch: 1, Workers: 1}
	require.NoError(t, good.Check())
	for says, change := range map[string]func(*Config){
		"--shapes must name one at least: independent, fan-out": func(c *Config) { c.Shapes = nil },
		`--shapes: there is no "star", only independent, `:      func(c *Config) { c.Shapes = []string{"chain", "star"} },
		"--sizes must name one at least":                        func(c *Config) { c.Sizes = nil },
		"--sizes must be from 20 to 10000000 for the shape layered, not 19": func(c *Config) {
			c.Sizes = []int{20, 19}
		},
		"--sizes must be from 20 to 10000000 for the shape insert, not 19": func(c *Config) {
			c.Shapes, c.Sizes = []string{"insert"}, []int{19}
		},
		"--sizes must be from 2 to 10000000 for the shape fan-in, not 1": func(c *Config) {
			c.Shapes, c.Sizes = []string{"fan-in"}, []int{1}
		},
		"--sizes must be from 1 to 10000000, not 0": func(c *Config) {
			c.Shapes, c.Sizes = []string{"chain"}, []int{0}
		},
		"not 10000001":                    func(c *Config) { c.Sizes = []int{maxTasks + 1} },
		"--batch must be from 1":          func(c *Config) { c.Batch = 0 },
		"--batch must be from 1 to":       func(c *Config) { c.Batch = maxBatch + 1 },
		"--workers must be from 1":        func(c *Config) { c.Workers = -1 },
		"--workers must be from 1 to":     func(c *Config) { c.Workers = maxWorkers + 1 },
		"DATABASE_URL must have the form": func(c *Config) { c.URL = "host=127.0.0.1" },
		"DATABASE_URL must have the form postgres://": func(c *Config) {
			c.URL = "replica:secret@127.0.0.1:5432/two?sslmode=disable" // Go takes it for a URL, pgx for a keyword and a value
		},
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Check(), says)
		require.ErrorContains(t, Run(t.Context(), c, nil), says)
	}
	all := Config{Shapes: []string{"star"}, Sizes: []int{0}}.Check()
	for _, flag := range []string{"--shapes", "--sizes", "--batch", "--workers"} {
		require.ErrorContains(t, all, flag)
	}
}

// Each shape is, at each size from its least on, what the floor takes it for: links without doubles between tasks that
// are there, and the layer of a task is one more than the highest of its parents'.
func TestShapesAtSmallSizes(t *testing.T) {
	t.Parallel()
	conn := testdb.NewEmpty(t).Connect(t)
	for _, s := range shapes {
		for n := s.least; n <= 130; n++ {
			var links, distinct, wrong int
			require.NoError(t, conn.QueryRow(t.Context(), substitute(`
				with t as (select i, (`+s.layer+`)::int as layer from generate_series(0, $1::int - 1) i),
				l as materialized (select * from (`+s.links+`) l (parent, child))
				select (select count(*) from l), (select count(*) from (select distinct parent, child from l) d),
					(select count(*) from t where layer <> (select coalesce(max(p.layer) + 1, 0)
						from l join t p on p.i = l.parent where l.child = t.i))
					+ (select count(*) from l where parent not in (select i from t) or child not in (select i from t))`, n)).
				Scan(&links, &distinct, &wrong), "%s of %d", s.name, n)
			require.Equal(t, links, distinct, "%s of %d", s.name, n)
			require.Zero(t, wrong, "%s of %d", s.name, n)
			if s.name != "independent" && n > 1 {
				require.Positive(t, links, "%s of %d", s.name, n)
			}
		}
	}
}

// An interrupt, wherever it comes, leaves no database behind.
func TestInterruptDropsTheDatabases(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	for _, stage := range []string{"_seed", "_floor", "_engine"} {
		r := newRun(Config{
			URL: db.DSN, Shapes: []string{"chain"}, Sizes: []int{2000}, Batch: 1, Workers: 2, Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.all(ctx, func(Result) { t.Error("measured") }) }()
		name := strings.TrimSuffix(r.seed, "_seed") + stage
		require.Eventually(t, func() bool {
			var working bool // on this stage
			err := db.Pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
				where datname = $1 and backend_type = 'client backend' and query <> '')`, name).Scan(&working)
			return err == nil && working
		}, 5*time.Minute, 5*time.Millisecond, stage)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled, stage)
		var left []string
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select coalesce(array_agg(datname::text), '{}') from pg_database
			where starts_with(datname::text, $1)`, strings.TrimSuffix(r.seed, "seed")).Scan(&left))
		require.Empty(t, left, stage)
	}
}

// Two at once do not meet, and the second says that there is a first.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	config := Config{URL: db.DSN, Shapes: []string{"layered"}, Sizes: []int{20}, Batch: 5, Workers: 1}
	var log bytes.Buffer
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	first := newRun(config)
	var err error
	first.admin, err = pgx.Connect(t.Context(), db.DSN)
	require.NoError(t, err)
	defer first.cleanup(context.WithoutCancel(t.Context()))
	require.NoError(t, first.fresh(t.Context()))

	n := 0
	require.NoError(t, Run(t.Context(), config, func(Result) { n++ }))
	require.Equal(t, 1, n)
	require.Contains(t, log.String(), "databases of another bench")
	require.Contains(t, log.String(), first.seed)
	require.NoError(t, first.copySeed(t.Context(), first.floor), "the first's database is still there")
}

// The databases are dropped although the connection is lost.
func TestCleanupConnectsAgain(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	r := newRun(Config{URL: db.DSN, Log: slog.New(slog.DiscardHandler)})
	var err error
	r.admin, err = pgx.Connect(t.Context(), db.DSN)
	require.NoError(t, err)
	require.NoError(t, r.exec(t.Context(), "create database "+r.seed))
	require.NoError(t, r.admin.Close(t.Context()))
	r.cleanup(t.Context())
	var left int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from pg_database where datname = $1", r.seed).Scan(&left))
	require.Zero(t, left)
}
