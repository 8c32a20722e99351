package bench

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

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

func TestRunUnknownShape(t *testing.T) {
	db := testdb.NewEmpty(t)
	err := Run(t.Context(), Config{URL: db.DSN, Shapes: []string{"moebius"}, Sizes: []int{10}, Batch: 5, Workers: 1,
		Log: slog.New(slog.DiscardHandler)}, func(Result) {})
	require.ErrorContains(t, err, "moebius")
}
