package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/chromium"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// Wrong flags are refused before anything is started, by name, all at once.
func TestBenchChecksFirst(t *testing.T) {
	for flag, says := range map[string]string{
		"--batch=0": "--batch must be from 1", "--workers=0": "--workers must be from 1", "--sizes=0": "--sizes must be from 1",
		"--clients=0": "--clients must be from 1", "--duration=0s": "--duration must be more than 0",
		"--shapes=star":         `--shapes: there is no "star", only independent, fan-out, fan-in, layered, chain, insert`,
		"--database-url=host=x": "DATABASE_URL must have the form",
	} {
		var stderr bytes.Buffer
		require.Equal(t, exitFailed, run([]string{"bench", "--shapes=chain", "--sizes=20", flag}, streams{err: &stderr}), flag)
		require.Contains(t, stderr.String(), says, flag)
	}
}

// newBench returns the command with its standard output and error.
func newBench(t *testing.T, args ...string) (c *benchCmd, out, progress *bytes.Buffer) {
	t.Helper()
	var cli cli
	parser, err := newParser(&cli)
	require.NoError(t, err)
	_, err = parser.Parse(append([]string{"bench", "--shapes=chain", "--sizes=20"}, args...))
	require.NoError(t, err)
	out, progress = new(bytes.Buffer), new(bytes.Buffer)
	cli.Bench.out, cli.Bench.progress = out, progress
	return &cli.Bench, out, progress
}

func TestBenchJSONIsAloneOnStandardOutput(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	c, out, progress := newBench(t, "--database-url", db.DSN, "--json")
	require.NoError(t, c.Run(t.Context()))
	var results []bench.Result
	require.NoError(t, json.Unmarshal(out.Bytes(), &results))
	require.Len(t, results, 1)
	require.Equal(t, 20, results[0].Tasks)
	require.Contains(t, progress.String(), "tasks/s  floor/s")
}

func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	c, out, _ := newBench(t, "--database-url", db.DSN)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.EqualError(t, c.Run(ctx), "interrupted")
	require.Empty(t, out.String())
}

// viewMeasures are those of 40 tasks. Where there is no browser, the answer alone is measured.
func viewMeasures() []string {
	names := []string{
		"40 tasks, GET /view/graph, first", "40 tasks, GET /view/graph, again", "40 tasks, its answer", "40 tasks, its answer, compressed",
	}
	if _, err := chromium.Find(); err == nil {
		names = append(names, "40 tasks, navigation to picture", "40 tasks, all in sight, frames while dragged", "40 tasks, near, frames while dragged")
	}
	return names
}

// The HTTP scenarios run a service, servers to compare it with and load clients, and judge what they measured.
func TestBenchOverHTTP(t *testing.T) {
	t.Parallel()
	for scenario, names := range map[string][]string{
		"report": {
			"PUT", "PUT of one task", "PUT, a transaction each", "PATCH Success", "PUT, one client", "PUT without a database", "PATCH without a database",
			"single-row commit", "PUT / without a database", "PUT / a transaction each", "PATCH / without a database",
			"PUT of one task / without a database", "PUT, one client: p50 / single-row commit",
		},
		"submit": {"POST of 40 tasks, last byte to first", "POST of 40 tasks, memory of the service"},
		"rules": {
			"40 tasks on 1 keys, 10 per key, workers: 4", "10 per key / no rules", "1 per key: 4 workers / 1", "slowest run with rules / fastest",
			"a task without rules behind 40 held ones", "a task with a free key behind 40 held ones", "beside parked: 40 / as many ended",
			"release: many parked / few", "a slot is free to the next start: p50",
		},
		"webhooks": {
			"8 tasks, webhook and report each", "tasks end to end, median", "commit to on_start", "report of the parent to on_start of the child",
			"8 tasks of 9 hosts, one more hangs", "nine hosts, one more hangs / nine hosts",
		},
		"view": viewMeasures(),
	} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			db := testdb.NewEmpty(t)
			// A user of its own, who owns its databases: others measure on this server as well.
			dsn := db.Login(t, "")
			login, err := pgx.ParseConfig(dsn)
			require.NoError(t, err)
			_, err = db.Pool.Exec(t.Context(), "alter role "+pgx.Identifier{login.User}.Sanitize()+" superuser")
			require.NoError(t, err)
			c, out, progress := newBench(t, "--scenario="+scenario, "--database-url", dsn, "--json", "--duration=200ms", "--clients=4", "--sizes=40")
			require.NoError(t, c.Run(t.Context()), progress.String())
			var measures []bench.Measure
			require.NoError(t, json.Unmarshal(out.Bytes(), &measures))
			got := map[string]bench.Measure{}
			for _, m := range measures {
				got[m.Name] = m
				require.Positive(t, m.Value, m.Name)
				if scenario == "report" || scenario == "submit" {
					require.Equal(t, m.Unit == "ratio", m.Target != "", m.Name)
				}
			}
			for _, name := range names {
				require.Contains(t, got, name)
				require.Contains(t, progress.String(), name)
			}
			var left int
			require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from pg_database where datdba = $1::text::regrole", login.User).Scan(&left))
			require.Zero(t, left)
		})
	}
}
