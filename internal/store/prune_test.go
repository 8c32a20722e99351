package store_test

import (
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// prune is a whole run.
func (b *testBundle) prune(t *testing.T, days, limit int) (total task.Pruned, chunks int) {
	t.Helper()
	var chunk []byte
	for {
		removed, next, err := b.Prune(t.Context(), days, limit, chunk)
		require.NoError(t, err)
		total.Add(removed)
		if chunks++; next == nil {
			return total, chunks
		}
		chunk = next
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("a"), entry("b", "a"), entry("c", "b"))
	live := b.submit(t, entry("live"))
	_, err := b.Cancel(t.Context(), tasks[0].ID)
	require.NoError(t, err)
	would, err := b.PrunePreview(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, task.Pruned{Batches: 1, Tasks: 3}, would)
	none, err := b.PrunePreview(t.Context(), 1)
	require.NoError(t, err)
	require.Zero(t, none)
	none, _ = b.prune(t, 1, 100)
	require.Zero(t, none)
	removed, chunks := b.prune(t, 0, 2)
	require.Equal(t, would, removed)
	require.Equal(t, 4, chunks) // two, one, the end of the batches, the end
	_, err = b.Task(t.Context(), tasks[0].ID)
	requireCode(t, task.CodeUnknown, err)
	_, err = b.Task(t.Context(), live[0].ID)
	require.NoError(t, err)
	b.db.AssertInvariants(t)
}

// An Idempotency-Key outlives the tasks: a repeat creates nothing, and gets what is left of them.
func TestIdempotencyKeyOutlivesItsTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body, err := json.Marshal([]any{entry("a")})
	require.NoError(t, err)
	key := task.IdempotencyKey{Key: "once", BodyHash: sha256.Sum256(body), Life: time.Hour}
	first, err := b.SubmitOnce(t.Context(), key, uuid.New(), body)
	require.NoError(t, err)
	_, err = b.Cancel(t.Context(), first.Tasks[0].ID)
	require.NoError(t, err)
	removed, _ := b.prune(t, 0, 100)
	require.Equal(t, task.Pruned{Batches: 1, Tasks: 1}, removed)
	again, err := b.SubmitOnce(t.Context(), key, uuid.New(), body)
	require.NoError(t, err)
	require.Equal(t, task.Submitted{BatchID: first.BatchID, Tasks: []task.Task{}, Replayed: true}, again)
	var tasks int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.task").Scan(&tasks))
	require.Zero(t, tasks)
	b.db.AssertInvariants(t)
}

// A request that depends on a task which is just being removed says that it is unknown. One that would be left out because of it
// creates what it asks for.
func TestSubmitDuringPrune(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("old"))
	_, err := b.Cancel(t.Context(), tasks[0].ID)
	require.NoError(t, err)

	depends := entry("new")
	depends["dependencies"] = []any{map[string]any{"task_id": tasks[0].ID, "requires_success": false}}
	same := entry("old")
	same["dedupe_strategy"] = []any{map[string]any{"kind": "etl", "status": "Canceled", "fields": []any{}}}
	type answer struct {
		tasks []task.Task
		err   error
	}
	submit := func(entries ...map[string]any) <-chan answer {
		body, err := json.Marshal(entries)
		require.NoError(t, err)
		done := make(chan answer, 1)
		go func() {
			tasks, err := b.Submit(t.Context(), uuid.New(), body)
			done <- answer{tasks, err}
		}()
		return done
	}
	pruner, err := b.db.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = pruner.Exec(t.Context(), "select from taskrunner_private.prune(0)")
	require.NoError(t, err)
	unknown, left := submit(depends), submit(same, entry("child", "old"))
	require.Eventually(t, func() bool {
		var waiting int
		err := b.db.Pool.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&waiting)
		return err == nil && waiting == 2
	}, time.Minute, 2*time.Millisecond)
	require.NoError(t, pruner.Commit(t.Context()))
	requireCode(t, task.CodeInvalid, (<-unknown).err)
	got := <-left
	require.NoError(t, got.err)
	require.Len(t, got.tasks, 2)
	b.db.AssertInvariants(t)
}

func TestTurnsOfRetention(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ours, _, err := b.BeginPrune(t.Context(), time.Hour)
	require.NoError(t, err)
	require.True(t, ours)
	ours, again, err := b.BeginPrune(t.Context(), time.Hour)
	require.NoError(t, err)
	require.False(t, ours)
	require.Greater(t, again, 30*time.Minute)
	require.LessOrEqual(t, again, time.Hour)
}
