package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// What people do to tasks is counted for the metrics, like everything else that changes a status.
func TestActsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks, err := b.Submit(t.Context(), uuid.New(), []byte(`[
		{"id": "a", "name": "a", "kind": "etl", "on_start": {"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}},
		{"id": "b", "name": "b", "kind": "load", "on_start": {"kind": "Webhook", "params": {"url": "https://b", "verb": "Get"}},
		 "dependencies": [{"id": "a", "requires_success": true}]}]`))
	require.NoError(t, err)
	b.transitions()

	paused, err := b.Pause(t.Context(), tasks[0].ID)
	require.NoError(t, err)
	require.Equal(t, task.Paused, paused.Status)
	require.Equal(t, []string{"Pending Paused etl 1"}, b.transitions())
	_, err = b.Pause(t.Context(), tasks[0].ID)
	requireCode(t, task.CodeState, err)
	resumed, err := b.Resume(t.Context(), tasks[0].ID)
	require.NoError(t, err)
	require.Equal(t, task.Pending, resumed.Status)
	require.Equal(t, []string{"Paused Pending etl 1"}, b.transitions())
	_, err = b.Resume(t.Context(), uuid.New())
	requireCode(t, task.CodeUnknown, err)

	stopped, err := b.StopBatch(t.Context(), *tasks[0].BatchID)
	require.NoError(t, err)
	require.Equal(t, task.Stopped{BatchID: *tasks[0].BatchID, CanceledWaiting: 1, CanceledPending: 1}, stopped)
	require.ElementsMatch(t, []string{"Pending Canceled etl 1", "Waiting Canceled load 1"}, b.transitions())
	_, err = b.StopBatch(t.Context(), uuid.New())
	requireCode(t, task.CodeUnknown, err)
	require.Empty(t, b.transitions())
	b.db.AssertInvariants(t)
}
