package bench

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

// Without pgbench the same is measured; the scenario itself is run with what the machine has (cmd/taskrunner).
func TestCommitsWithoutPgbench(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	r := &reportRun{
		run: newRun(Config{Duration: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}), pool: db.Pool, series: map[string][]Measure{},
	}
	var got Measure
	require.NoError(t, r.commits(t.Context(), db.DSN, func(m Measure) { got = m }))
	require.Equal(t, "single-row commit", got.Name)
	require.Positive(t, got.P50)
	var sum float64
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select sum(n)::float8 from public.bench_row").Scan(&sum))
	require.Positive(t, sum)
	require.Equal(t, []Measure{got}, r.series[got.Name])
}

func TestReadLatencies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.1")
	require.NoError(t, os.WriteFile(path, []byte("0 1 263 0 1764303000 1\n0 2 1250 0 1764303000 2\n"), 0o600))
	list, err := readLatencies(path)
	require.NoError(t, err)
	require.Equal(t, []time.Duration{263 * time.Microsecond, 1250 * time.Microsecond}, list)
	require.NoError(t, os.WriteFile(path, []byte("0 1 skipped 0 1764303000 1\n"), 0o600))
	_, err = readLatencies(path)
	require.ErrorContains(t, err, `pgbench logged "0 1 skipped`)
}
